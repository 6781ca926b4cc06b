"""MEND's network: from the factors of a gradient to those of an edit.

Source: Mitchell et al., arXiv:2110.11309, as MMKE-Bench runs it (all of its options at their published values): one
network for all matrices of one shape, told apart by a mode each; inputs and gradients are normalised by running
statistics, joined, and passed through two low-rank layers that begin as the identity.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmke.backbones.engine.taping import same
from mmke.editing.factors import Factors
from mmke.editing.moments import Moments, observed
from mmke.errors import UserError
from mmke.protocols import LowRankUpdate

EPSILON = 1e-7
"""Beside a standard deviation, as published."""
CONSTANT = 1e-6
"""Of the mean: a deviation up to which a coordinate is taken to be the same in every row."""


class LowRankLayer(nn.Module):
    """x + max(0, scale · (U V x + b) + shift), with a scale and a shift for each mode."""

    def __init__(self, width: int, rank: int, modes: int) -> None:
        """Begin as the identity: U and b are zero, V standard normal, scales one, shifts zero."""
        super().__init__()
        self.u = nn.Parameter(torch.zeros(width, rank))
        self.v = nn.Parameter(torch.randn(rank, width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.shift = nn.Parameter(torch.zeros(modes, width))
        self.scale = nn.Parameter(torch.ones(modes, width))

    def forward(self, rows: Float[Tensor, "rows width"], mode: int) -> Float[Tensor, "rows width"]:
        """Transform rows under a mode; the clamp is applied in every layer, the last one included, as published."""
        before = rows @ self.v.T @ self.u.T + self.bias
        return rows + (before * self.scale[mode] + self.shift[mode]).clamp(min=0)


class Statistics(nn.Module):
    """Running mean and deviation of each coordinate of one side's rows."""

    mean: Tensor
    squares: Tensor
    deviation: Tensor
    count: Tensor

    def __init__(self, size: int, *, first_pass: bool = False) -> None:
        """Begin with no row.

        Args:
            size: of a row.
            first_pass: whether they are complete before they are used. A coordinate that is the same in every row up to
                rounding, such as one behind a ReLU that never opens, then stays zero, instead of being divided by next
                to nothing when it moves after all.
        """
        super().__init__()
        self.first_pass = first_pass
        for name in ("mean", "squares", "deviation"):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("count", torch.zeros(1))

    def observe(self, rows: Float[Tensor, "rows size"]) -> None:
        """Take rows in.

        The published code goes row by row, which gives the same up to rounding.

        Raises:
            UserError: it is the first row and there is no second, so that there is no deviation; nothing has changed.
        """
        number = len(rows)
        if not number:
            return
        self.check(number)
        moments = observed(Moments(self.count, self.mean, self.squares), rows)
        for statistic, value in zip((self.count, self.mean, self.squares), moments, strict=True):
            statistic.copy_(value)
        self.deviation.copy_((self.squares / (self.count - 1)).sqrt())

    def check(self, number: int) -> None:
        """Refuse a number of rows that would leave no deviation.

        Raises:
            UserError: it is the first row and there is no second.
        """
        if number == 1 and same(lambda: bool(self.count == 0)):
            raise UserError("mend: an edit gave a single row; its statistics need two, so give a longer answer")

    def forward(self, rows: Float[Tensor, "rows size"]) -> Float[Tensor, "rows size"]:
        """Return rows in deviations from the mean."""
        away = (rows - self.mean) / (self.deviation + EPSILON)
        # What is no number has to remain none.
        return away.masked_fill(self.deviation <= CONSTANT * self.mean.abs(), 0.0) if self.first_pass else away


class Network(nn.Module):
    """One network for all edited matrices of a shape."""

    def __init__(
        self, into: int, out: int, *, rank: int, modes: int, layers: int = 2, first_pass: bool = False
    ) -> None:
        """Build it for matrices [out into]; a rank beyond the joined width is cut to it."""
        super().__init__()
        width = into + out
        self.sizes = [into, out]
        self.inputs, self.gradients = (Statistics(size, first_pass=first_pass) for size in self.sizes)
        self.layers = nn.Sequential(*(LowRankLayer(width, min(rank, width), modes) for _ in range(layers)))

    def observe(self, rows: Factors) -> None:
        """Take an edit's informative rows into the running statistics."""
        self.inputs.observe(rows.inputs)
        self.gradients.observe(rows.gradients)

    def forward(self, rows: Factors, mode: int) -> LowRankUpdate:
        """Return the factors of the pseudo-gradient: a sum over informative rows, not a mean, as published."""
        joined = torch.cat([self.inputs(rows.inputs), self.gradients(rows.gradients)], dim=1)
        for layer in self.layers:
            joined = layer(joined, mode)
        return LowRankUpdate(*torch.split(joined, self.sizes, dim=1))


def informative(found: Mapping[str, Factors]) -> dict[str, Factors]:
    """Return of each matrix the rows in which neither the input nor the gradient is all zero."""
    # In training the factors of a record are those of the unedited model each time, and so are their rows.
    kept = same(lambda: _informative(found))
    return {
        name: each if rows is None else Factors(each.inputs[rows], each.gradients[rows])
        for (name, each), rows in zip(found.items(), kept, strict=True)
    }


def _informative(found: Mapping[str, Factors]) -> list[Tensor | None]:
    """Return the places of these rows; None where they are all rows."""
    keep = [each.inputs.ne(0).any(1) & each.gradients.ne(0).any(1) for each in found.values()]
    # Mostly all rows are: one check for all matrices, so that a GPU is not waited for once per matrix.
    whole = torch.stack([some.all() for some in keep]).tolist()
    return [None if all_rows else some.nonzero()[:, 0] for some, all_rows in zip(keep, whole, strict=True)]


def shapes(weights: Sequence[Tensor]) -> dict[tuple[int, int], int]:
    """Return how many matrices there are of each shape (into, out), in the order in which shapes first appear."""
    counted: dict[tuple[int, int], int] = {}
    for weight in weights:
        out, into = weight.shape
        counted[into, out] = counted.get((into, out), 0) + 1
    return counted


class Networks(nn.Module):
    """A network for each shape of edited matrices, and a step for each matrix."""

    def __init__(
        self, matrices: Mapping[str, Tensor], *, rank: int, layers: int, step: float, first_pass: bool = False
    ) -> None:
        """Lay them out for matrices [out into] by name; for `first_pass` see `Statistics`."""
        super().__init__()
        counted = shapes(list(matrices.values()))
        self.mend = nn.ModuleDict(
            {
                str(shape): Network(*shape, rank=rank, modes=modes, layers=layers, first_pass=first_pass)
                for shape, modes in counted.items()
            }
        )
        self.steps = nn.Parameter(torch.full((len(matrices),), step))
        seen: dict[str, int] = {}
        self.places: dict[str, tuple[str, int]] = {}
        for name, matrix in matrices.items():
            shape = str((matrix.shape[1], matrix.shape[0]))
            self.places[name] = shape, seen.get(shape, 0)
            seen[shape] = seen.get(shape, 0) + 1

    def observe(self, found: Mapping[str, Factors]) -> None:
        """Take an edit's factors into the running statistics, matrix by matrix."""
        rows = self._informative(found)
        self._check(rows)
        for name, (shape, _) in self.places.items():
            self._network(shape).observe(rows[name])

    def forward(self, found: Mapping[str, Factors], *, observe: bool = False) -> dict[str, LowRankUpdate]:
        """Return by how much each matrix moves, in factors.

        Args:
            found: the factors of each matrix.
            observe: whether each matrix's rows enter the statistics of its network before they are transformed, so
                that the second matrix of a shape sees those of the first, as published.
        """
        moves, rows = {}, self._informative(found)
        if observe:
            self._check(rows)
        for (name, (shape, mode)), step in zip(self.places.items(), self.steps, strict=True):
            network = self._network(shape)
            if observe:
                network.observe(rows[name])
            pseudo, card = network(rows[name], mode), found[name].inputs.device
            moves[name] = LowRankUpdate(pseudo.inputs.to(card), (step * pseudo.outputs).to(card))
        return moves

    def _informative(self, found: Mapping[str, Factors]) -> dict[str, Factors]:
        # The matrices may lie on several cards; the networks are on one.
        return informative({name: each.to(self.steps.device) for name, each in found.items()})

    def _check(self, rows: Mapping[str, Factors]) -> None:
        # All of them before any: an edit that is refused has then changed no statistics.
        for name, (shape, _) in self.places.items():
            self._network(shape).inputs.check(len(rows[name].inputs))

    def _network(self, shape: str) -> Network:
        network = self.mend[shape]
        assert isinstance(network, Network)  # noqa: S101  # a ModuleDict does not know its kind
        return network


def renewed(networks: Networks) -> Networks:
    """Return networks with the same trained tensors, and with statistics of their own, of no row yet."""
    shared = {id(parameter): parameter for parameter in networks.parameters()}
    own = copy.deepcopy(networks, shared)
    for statistic in own.buffers():
        statistic.zero_()
    return own
