"""The rows that are drawn for each matrix, and the projection that closes directions to later writes.

A matrix's projection begins as the identity. After a write with the key z it is P - P z zᵀ P / (λ + zᵀ P z), so that of
a gradient along z the share 1 / (1 + n |z|² / λ) is left after n writes; what is orthogonal to z is left whole.
"""

import hashlib
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


def drawn(own: Float[Tensor, "out into"], rank: int, *, name: str, seed: int) -> Float[Tensor, "rank into"]:
    """Return random orthonormal rows for a matrix; they depend on the seed and the matrix's name alone."""
    digest = hashlib.sha256(repr((seed, name)).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
    # Drawn on the processor, so that every device has the same up to rounding.
    random = torch.randn(own.shape[1], rank, generator=generator).to(own.device)
    columns, upper = torch.linalg.qr(random)
    rows: Tensor = (columns * upper.diagonal().sign()).T.contiguous()
    return rows


def closed(
    projection: Float[Tensor, "rank rank"], key: Float[Tensor, "rank"], regularisation: float
) -> Float[Tensor, "rank rank"]:
    """Return a projection after a write with a key; a key of zeros closes nothing. Computed in double precision."""
    exact, along = projection.double(), key.double()
    met = exact @ along
    return (exact - torch.outer(met, met) / (regularisation + along @ met)).to(projection.dtype)


def move(
    gradient: Float[Tensor, "out rank"], projection: Float[Tensor, "rank rank"], step: float | Float[Tensor, "rank"]
) -> Float[Tensor, "out rank"]:
    """Return what a write takes from B: the gradient, each column by its step, as far as the projection lets it."""
    return (step * gradient) @ projection


class Projections(nn.Module):
    """The projection of each matrix, on the matrix's device."""

    def __init__(self, matrices: Mapping[str, Tensor], rank: int) -> None:
        """Begin with nothing closed, for matrices by name."""
        super().__init__()
        for name, matrix in matrices.items():
            self.register_buffer(_place(name), torch.eye(rank, device=matrix.device))

    def of(self, name: str) -> Float[Tensor, "rank rank"]:
        """Return the projection of a matrix."""
        return self.get_buffer(_place(name))

    def close(self, name: str, key: Float[Tensor, "rank"], regularisation: float) -> None:
        """Close a direction of a matrix to later writes."""
        self.of(name).copy_(closed(self.of(name), key, regularisation))


def _place(name: str) -> str:
    return name.replace(".", "-")  # a buffer's name has no dots
