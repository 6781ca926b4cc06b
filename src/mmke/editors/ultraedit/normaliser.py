"""UltraEdit's normaliser: inputs and gradients in deviations from their mean over all edits so far.

One for all edited matrices of a shape. It begins with no row, takes in the rows of each batch before they are
standardised, and is kept over a whole session.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmke.editing.factors import Factors
from mmke.editing.moments import Moments, observed
from mmke.errors import CannotAskError

FLOOR = 1e-3
"""Of the mean deviation of the inputs, and of the gradients: no coordinate is divided by less. Of few rows some
coordinates have next to no deviation."""


class Normaliser(nn.Module):
    """Running mean and deviation of each coordinate of the joined rows (input, gradient) of one shape."""

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, into: int, out: int) -> None:
        """Begin with no row."""
        super().__init__()
        self.sizes = [into, out]
        self.register_buffer("count", torch.zeros(1))
        for name in ("mean", "squares"):
            self.register_buffer(name, torch.zeros(into + out))

    def observe(self, rows: Factors) -> None:
        """Take rows in."""
        joined = torch.cat([rows.inputs, rows.gradients], dim=1)
        moments = observed(Moments(self.count, self.mean, self.squares), joined)
        for statistic, value in zip((self.count, self.mean, self.squares), moments, strict=True):
            statistic.copy_(value)

    def forward(self, rows: Factors) -> Factors:
        """Return rows in deviations from the mean, inputs and gradients each."""
        deviation = (self.squares / (self.count - 1)).sqrt()
        means, deviations = torch.split(self.mean, self.sizes), torch.split(deviation, self.sizes)
        sides = (rows.inputs, rows.gradients)
        return Factors(*(_standardised(*each) for each in zip(sides, means, deviations, strict=True)))


def _standardised(
    rows: Float[Tensor, "rows size"], mean: Float[Tensor, "size"], deviation: Float[Tensor, "size"]
) -> Float[Tensor, "rows size"]:
    floor = FLOOR * deviation.mean()
    # All rows alike: their distance from the mean is zero, whatever it is divided by.
    return (rows - mean) / torch.maximum(deviation, floor).where(floor != 0, 1.0)


class Normalisers(nn.Module):
    """A normaliser for each shape of edited matrices."""

    def __init__(self, matrices: Mapping[str, Tensor]) -> None:
        """Begin with no row, for matrices [out into] by name."""
        super().__init__()
        self.places = {name: f"{matrix.shape[0]}x{matrix.shape[1]}" for name, matrix in matrices.items()}
        made = {place: Normaliser(*reversed(matrices[name].shape)) for name, place in self.places.items()}
        self.by_shape = nn.ModuleDict(made)

    def observe(self, found: Mapping[str, Factors]) -> None:
        """Take in a batch's rows of every matrix.

        Raises:
            CannotAskError: the first row is the only one, so that there is no deviation; nothing has changed.
        """
        first = next(iter(found))
        if len(found[first].inputs) == 1 and self._of(first).count == 0:
            raise CannotAskError(
                "ultraedit: the first edit gave a single row; its statistics need two, so give a longer answer"
            )
        for name, rows in found.items():
            self._of(name).observe(rows)

    def forward(self, found: Mapping[str, Factors]) -> dict[str, Factors]:
        """Return every matrix's rows in deviations from the mean."""
        return {name: self._of(name)(rows) for name, rows in found.items()}

    def _of(self, name: str) -> Normaliser:
        made = self.by_shape[self.places[name]]
        assert isinstance(made, Normaliser)  # noqa: S101  # a ModuleDict does not know its kind
        return made
