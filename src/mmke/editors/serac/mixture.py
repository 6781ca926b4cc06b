"""How SERAC's two models become one answer: the published soft mixture, or a decision."""

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = torch.finfo(torch.float32).eps
"""Added to a probability before its logarithm, as published (1.1920929e-7)."""
THRESHOLD = 0.5
"""Similarity above which an edit decides."""


def soft(
    base: Float[Tensor, "rows vocab"], other: Float[Tensor, "more vocab"], similarity: Float[Tensor, ""]
) -> Float[Tensor, "rows vocab"]:
    """Return log((1 − s) · softmax(base) + s · softmax(other) + ε) in float32, as published.

    `other` is aligned from the right: of its rows the last count, as many as `base` has.
    """
    old, new = base.float().softmax(-1), aligned(other, len(base)).float().softmax(-1)
    near, new = similarity.to(old.device), new.to(old.device)  # which may lie on several cards
    return torch.log((1 - near) * old + near * new + EPSILON)


def aligned(other: Float[Tensor, "more vocab"], rows: int) -> Float[Tensor, "rows vocab"]:
    """Return the last `rows` rows: behind a longer prompt they are those that predict the same tokens."""
    return other[len(other) - rows :]
