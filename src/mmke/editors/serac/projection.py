"""How a counterfactual language model of another width reads pictures: what the alignment hands on, projected.

As published for BLIP2, whose Q-Former's states go into a smaller OPT. The published projection is random, and drawn
anew for each edit; under `strict` it is trained and saved.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.errors import UserError
from mmke.protocols import Backbone

PROJECTION = "projection"
"""Name of the submodule."""


def fresh(backbone: ComposedBackbone, width: int, seed: int) -> nn.Linear:
    """Return a fresh projection, as the library draws one, from what the alignment hands on."""
    alignment = backbone.module.get_submodule(backbone.site("alignment"))
    size = _handed_on(alignment)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(size, width).requires_grad_(requires_grad=False).to(backbone.device)


def draw(reader: Backbone, key: str) -> dict[str, Tensor]:
    """Return the tensors of a freshly drawn projection, the same for the same key."""
    width, size = reader.module.get_parameter(f"{PROJECTION}.weight").shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(key.encode()))
        drawn = nn.Linear(size, width)
    return {f"{PROJECTION}.{name}": tensor.detach().to(reader.device) for name, tensor in drawn.named_parameters()}


def _handed_on(alignment: nn.Module) -> int:
    config = getattr(alignment, "config", None)
    if config is not None and hasattr(config, "hidden_size"):
        return int(config.hidden_size)
    linears = [part for part in alignment.modules() if isinstance(part, nn.Linear)]
    if not linears:
        raise UserError("the alignment has no linear layer, so that its width is not known; take one as wide")
    return linears[-1].out_features


def through(backbone: ComposedBackbone, projection: nn.Linear) -> Any:
    """Return `Vision.align` for a model of another width: what the alignment hands on, projected."""
    alignment = backbone.module.get_submodule(backbone.site("alignment"))

    def align(features: Sequence[Any]) -> Tensor:
        handed: list[Tensor] = []
        hook = alignment.register_forward_hook(lambda _module, _args, output: handed.append(_states(output)))
        try:
            with torch.no_grad():
                positions = len(backbone.vision.align(features))
        finally:
            hook.remove()
        states = torch.cat([each.flatten(0, -2) for each in handed]).float()
        if len(states) != positions:
            raise UserError(
                f"the alignment of {backbone.name} hands on {len(states)} states for {positions} positions; "
                "take a counterfactual model as wide as its language model"
            )
        projected: Tensor = projection(states)
        return projected

    return align


def _states(output: Any) -> Tensor:
    states: Tensor = output if isinstance(output, Tensor) else output.last_hidden_state
    return states
