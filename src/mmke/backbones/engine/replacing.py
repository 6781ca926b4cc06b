"""Let a module hand on a vector of ours at some positions of a query, in place of what it computes there.

In: a module's name, a vector, and which positions. Out: what the backbone computes inside the context. Nothing is
written into the module. It serves one query at a time: what two queries share in a pack is computed once, and cannot be
replaced for one of them alone. So its bits do not depend on other queries either.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmke.backbones.engine.turns import turn
from mmke.protocols import Backbone, Encoded

Positions = Literal["prompt", "last", "all"]
"""All positions of the question and its picture; those that predict the answer, which are the prompt's last one and
those of the answer's tokens; or all."""


def prompt_length(encoded: Encoded) -> int:
    """Return how many positions stand before the answer of an encoded query."""
    return len(encoded.input_ids) - len(encoded.target_ids)


@contextmanager
def replacing(
    backbone: Backbone, name: str, value: Float[Tensor, "out"], positions: Positions, *, prompt: int, writes: bool
) -> Iterator[None]:
    """Inside the context, compute one query with a vector in place of a module's own output.

    Gradients flow into the vector. What lies below the module can be computed inside the context as well.

    Args:
        backbone: with the module.
        name: of the module; it lies below the last layer, so that it is run at all positions.
        value: what it hands on.
        positions: where it does.
        prompt: how many positions stand before the answer.
        writes: whether the model writes the answer, token by token; else the gold answer is fed.
    """
    with turn(backbone.module):
        hook = backbone.module.get_submodule(name).register_forward_hook(
            _replacer(value, positions, prompt, writes=writes)
        )
        try:
            yield
        finally:
            hook.remove()


def _replacer(value: Tensor, positions: Positions, prompt: int, *, writes: bool) -> Any:
    span = {"prompt": (0, prompt), "last": (prompt - 1, sys.maxsize), "all": (0, sys.maxsize)}[positions]
    begun = False

    def replace(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        nonlocal begun
        read = output.shape[-2]
        # With a cache, each pass after the first is of one position of the answer.
        first = prompt if writes and begun and read == 1 else 0
        begun = True
        begin, end = (min(max(place - first, 0), read) for place in span)
        ours = value.to(output.dtype).expand(*output.shape[:-2], end - begin, -1)
        return torch.cat([output[..., :begin, :], ours, output[..., end:, :]], dim=-2)

    return replace
