"""The factors of an edited matrix's gradient: the linear's inputs, and the gradients of its outputs.

For W [out in] the gradient of the loss is the sum over rows of δ xᵀ. MEND transforms x and δ; KE uses the sum. Neither
needs the gradient of the whole model: everything below the lowest edited linear is constant, and above it the loss is
differentiated with respect to the edited linears' outputs only.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.turns import turn
from mmke.protocols import Backbone, Encoded, Trunk, Weights


@dataclass(frozen=True, eq=False)
class Factors:
    """Of one edited matrix, in float32, at all positions of all packs.

    Attributes:
        inputs: what the linear was fed.
        gradients: of the mean negative log-likelihood of the target, with respect to what the linear handed on.
    """

    inputs: Float[Tensor, "rows into"]
    gradients: Float[Tensor, "rows out"]

    def to(self, device: torch.device) -> "Factors":
        """Return the same on a device."""
        return Factors(self.inputs.to(device), self.gradients.to(device))

    def gradient(self) -> Float[Tensor, "out into"]:
        """Return the gradient of the matrix."""
        return self.gradients.T @ self.inputs


def share(found: Mapping[str, Factors], among: int) -> Mapping[str, Factors]:
    """Return the factors of a loss that is one of several, of which the mean is taken."""
    return {name: Factors(each.inputs, each.gradients / among) for name, each in found.items()}


def factors(
    backbone: Backbone, trunk: Trunk, names: Sequence[str], target: Int[Tensor, "tokens"], weights: Weights
) -> Mapping[str, Factors]:
    """Return the factors of each edited matrix for one edit; a matrix that the query does not pass through has none.

    Args:
        backbone: where the matrices are.
        trunk: of the edit's own query, cut below the lowest of them.
        names: their parameter names.
        target: the answer's token ids.
        weights: what has been edited before.
    """
    encoded = trunk.batch.encoded[0]
    with turn(backbone.module), torch.enable_grad(), _kept(backbone, names) as passes:
        logits = backbone.tail(trunk, weights).float()
        if len(encoded.rows) != len(encoded.answer_rows):
            logits = logits[sent(encoded.answer_rows, logits.device)]
        loss = cross_entropy(logits, target)
        outputs = [each.output for some in passes.values() for each in some]
        gradients = iter(backbone.gradients(loss, outputs))
    return {name: _joined(some, gradients) for name, some in passes.items() if some}


def inputs(backbone: Backbone, trunk: Trunk, names: Sequence[str]) -> Mapping[str, Float[Tensor, "rows into"]]:
    """Return what each matrix of the unedited model is fed; see `factors`."""
    with turn(backbone.module), torch.no_grad(), _kept(backbone, names) as passes:
        backbone.tail(trunk, {})
    return {name: torch.cat([_rows(each.input) for each in some]) for name, some in passes.items() if some}


def at_rows(each: Float[Tensor, "positions size"], encoded: Encoded) -> Float[Tensor, "rows size"]:
    """Return of what passed through a linear for one query what did so at the wanted rows."""
    if len(each) == len(encoded.rows):  # only the wanted rows pass through the last layer's MLP
        return each
    return each[sent(encoded.rows, each.device)]


@contextmanager
def _kept(backbone: Backbone, names: Sequence[str]) -> Iterator[dict[str, list["Pass"]]]:
    """Keep what passes through linears inside the context, by the names of their matrices."""
    passes: dict[str, list[Pass]] = {name: [] for name in names}
    with ExitStack() as hooks:
        for name in names:
            linear = backbone.module.get_submodule(name.removesuffix(".weight"))
            hooks.callback(linear.register_forward_hook(_keeper(passes[name])).remove)
        yield passes


class Pass(NamedTuple):
    """What a linear was fed and handed on while one pack went through it; a batch may be several packs."""

    input: Tensor
    output: Tensor


def _joined(passes: Sequence[Pass], gradients: Iterator[Tensor]) -> Factors:
    inputs = [_rows(each.input) for each in passes]
    return Factors(torch.cat(inputs), torch.cat([_rows(next(gradients)) for _ in passes]))


def _keeper(passes: list[Pass]) -> Any:
    def keep(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        # What the lowest of them hands on is where the graph begins; it reaches all others.
        began = output if output.requires_grad or not torch.is_grad_enabled() else output.requires_grad_()
        passes.append(Pass(args[0].detach(), began))

    return keep


def _rows(tensor: Tensor) -> Tensor:
    return tensor.detach().float().flatten(0, -2)
