"""The numbers of WISE: masks, activations, their margins and threshold, and how side memories are merged.

Nothing here knows of a model. A side memory is a change D = W' - W of one matrix.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import relu


class Margins(NamedTuple):
    """Bounds of activations: of an irrelevant question from above, of the edit's from below, and of the difference."""

    alpha: float
    beta: float
    gamma: float


def generator(*said: object) -> torch.Generator:
    """Return a generator on the processor whose numbers depend on what is said alone."""
    digest = hashlib.sha256(repr(said).encode(errors="backslashreplace")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def mask(like: Float[Tensor, "out into"], density: float, drawn: torch.Generator) -> Bool[Tensor, "out into"]:
    """Return which entries of a matrix an edit may change, each with a probability of `density`."""
    # Drawn on the processor, so that every device has the same.
    allowed: Tensor = torch.rand(like.shape, generator=drawn) < density
    return allowed.to(like.device)


def activation(change: Float[Tensor, "out into"], inputs: Float[Tensor, "positions into"]) -> Float[Tensor, ""]:
    """Return the mean over positions of the length by which a change moves the matrix's output; in float32."""
    lengths: Tensor = torch.linalg.vector_norm(inputs.float() @ change.float().T, dim=-1)
    return lengths.mean()


def margin_loss(edit: Float[Tensor, ""], irrelevant: Float[Tensor, ""], margins: Margins) -> Float[Tensor, ""]:
    """Return by how much the activations of an edit's and of an irrelevant question miss their margins."""
    alpha, beta, gamma = margins
    return relu(irrelevant - alpha) + relu(beta - edit) + relu(gamma - (edit - irrelevant))


def threshold(activations: Float[Tensor, "edits"], ratio: float) -> float:
    """Return the activation from which on a side memory answers, by those of the edits that were made."""
    return ratio * float(activations.min())


def strongest(activations: Sequence[float]) -> int:
    """Return the memory with the largest activation; of equal ones the newest."""
    return max(range(len(activations)), key=lambda number: (activations[number], number))


def merged(changes: Sequence[Float[Tensor, "out into"]], density: float) -> Float[Tensor, "out into"]:
    """Return one change for several (TIES; Yadav et al., arXiv:2306.01708), in float32.

    Of each change the share `density` of its entries that is largest is kept. At each entry the sign of their sum is
    chosen, and the mean is taken of those that have it.
    """
    kept = [_largest(change.float(), density) for change in changes]
    sign = sum(kept[1:], kept[0]).sign()
    agreeing = [torch.where(each.sign() == sign, each, 0) for each in kept]
    count = sum((each != 0 for each in agreeing), torch.zeros_like(sign))
    return sum(agreeing[1:], agreeing[0]) / count.clamp(min=1)


def _largest(change: Tensor, density: float) -> Tensor:
    sizes = change.abs()
    leaving = sizes.numel() - max(round(density * sizes.numel()), 1)
    if not leaving:
        return change
    return torch.where(sizes > sizes.flatten().kthvalue(leaving).values, change, 0)
