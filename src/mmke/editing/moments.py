"""Running moments: how many rows were seen, their mean, and the sum of squares about it."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Moments(NamedTuple):
    """Of all rows seen so far."""

    seen: Float[Tensor, "1"]
    mean: Float[Tensor, "size"]
    squares: Float[Tensor, "size"]


def observed(before: Moments, rows: Float[Tensor, "rows size"]) -> Moments:
    """Return the moments after more rows, of which there is at least one.

    Going row by row gives the same up to rounding (Chan, Golub and LeVeque).
    """
    number, mean = len(rows), rows.mean(0)
    count, away = before.seen + number, mean - before.mean
    squares = (rows - mean).square().sum(0) + away.square() * before.seen * number / count
    return Moments(count, before.mean + away * number / count, before.squares + squares)
