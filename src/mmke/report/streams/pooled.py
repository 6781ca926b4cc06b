"""The figures of one column over the orders of a stream: means with errors over cases, and their ranges over orders.

A column may be the mean of others (`hard_loc`): so is each of its figures then, each of the others over its own cases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import log
from typing import Any, NamedTuple

from mmke.report.estimates import Mean, Sum, average, difference, mean_of
from mmke.report.streams.curves import Bin, Figures, area, half_life

MEANS = ("right", "final", "forgetting", "backward_transfer", "drift")
SCALARS = (*MEANS, "area", "area_linear")
CURVES = ("checkpoints", "gaps", "ages")
GAINED = ("right", "final", "area", "area_linear", *CURVES)
"""What is compared with the floor; the others are differences in themselves."""

NO_GAIN = 1e-9
"""A first gain below this has no half; sums of equal numbers leave a rest of rounding."""

Place = int | Bin
"""A point of a curve: a state, a gap, or a bin of ages."""


class Pooled(NamedTuple):
    """A figure over cases and orders, in its column's unit.

    Attributes:
        value: the mean over orders of the mean over cases.
        se: its standard error over cases; the same case in several orders is one case. None with one case.
        low: the lowest value of an order; like `high`, equal to `value` where there is one order.
        high: the highest value of an order.
        n: cases.
        gain: the same of the value minus the floor of the same probes; None for locality, and where it is no gain.
        gain_se: standard error of the gain.
    """

    value: float
    se: float | None
    low: float
    high: float
    n: int
    gain: float | None = None
    gain_se: float | None = None


@dataclass(frozen=True, slots=True)
class HalfLife:
    """The first checkpoint with at most half of the first checkpoint's gain over the floor.

    Attributes:
        state: cases in the model then; None: more than half is left after `beyond`.
        beyond: the last checkpoint.
        orders: the same of each order.
    """

    state: int | None
    beyond: int
    orders: tuple[int | None, ...] = ()

    def __str__(self) -> str:
        """Return it as a table shows it."""
        return f"> {self.beyond}" if self.state is None else str(self.state)


@dataclass(frozen=True, slots=True)
class ColumnFigures:
    """The figures of one column of one editor.

    Attributes:
        figures: by the names of `SCALARS`; what was not observed is left out.
        curves: by the names of `CURVES`, point by point.
        half_life: None where there was no gain, no floor, or no more than one checkpoint.
    """

    figures: Mapping[str, Pooled] = field(default_factory=dict)
    curves: Mapping[str, Mapping[Place, Pooled]] = field(default_factory=dict)
    half_life: HalfLife | None = None

    @property
    def n(self) -> int:
        """The number of cases of the figure, or point of a curve, that has most."""
        points = [*self.figures.values(), *(point for curve in self.curves.values() for point in curve.values())]
        return max((point.n for point in points), default=0)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data; what was not observed is null."""
        found: dict[str, Any] = {name: _plain(self.figures.get(name)) for name in SCALARS}
        found["half_life"] = None if self.half_life is None else asdict(self.half_life)
        for name in CURVES:
            found[name] = [
                {**_named(name, place), **each._asdict()} for place, each in self.curves.get(name, {}).items()
            ]
        return found


Orders = Sequence[Figures]
Pairs = Sequence[tuple[Figures, Figures]]


def pool(parts: Sequence[Orders], gains: Sequence[Orders], *, factor: float, whole: bool) -> ColumnFigures:
    """Return figures over the orders of a stream.

    Args:
        parts: of each column that this one is the mean of (most often the column itself alone), of each order.
        gains: the same of the scores minus their floors; empty where the floor is nothing to gain on.
        factor: turns scores into the column's unit.
        whole: whether every checkpoint was reached: area and half-life are of the whole curve.
    """
    over = _Points.of([[_flat(one) for one in orders] for orders in gains])
    columns = _pooled(_Points.of([[_flat(one) for one in orders] for orders in parts]), over, factor, whole=whole)
    return ColumnFigures(*columns, half_life=_half_life(over) if whole else None)


def pool_differences(parts: Sequence[Pairs], *, factor: float, whole: bool) -> ColumnFigures:
    """Return figures of one editor minus another's over the orders of a stream; errors are those of the pairs."""
    apart = _Points.of([[_apart(_flat(left), _flat(right)) for left, right in pairs] for pairs in parts])
    return ColumnFigures(*_pooled(apart, _Points.of([]), factor, whole=whole))


Point = tuple[str, Place | None]
"""A figure, or a point of a curve: its name, and its place on the curve."""


class _Points(NamedTuple):
    """The figures and points of one column over all orders, and of each order."""

    whole: Mapping[Point, Sum]
    orders: Sequence[Mapping[Point, Sum]]

    @classmethod
    def of(cls, parts: Sequence[Sequence[Mapping[Point, Mean]]]) -> "_Points":
        """Return what is known of all columns that this one is the mean of, each given order by order."""
        each = zip(*parts, strict=True)
        return cls(_joined([_over_orders(orders) for orders in parts]), [_joined(order) for order in each])


def _over_orders(orders: Sequence[Mapping[Point, Mean]]) -> dict[Point, Mean]:
    points = dict.fromkeys(point for one in orders for point in one)
    return {point: average([one[point] for one in orders if point in one]) for point in points}


def _joined(parts: Sequence[Mapping[Point, Mean]]) -> dict[Point, Sum]:
    if not parts:
        return {}
    return {point: mean_of([part[point] for part in parts]) for point in parts[0] if all(point in p for p in parts)}


def _apart(left: Mapping[Point, Mean], right: Mapping[Point, Mean]) -> dict[Point, Mean]:
    return {point: difference(left[point], right[point]) for point in left.keys() & right.keys()}


def _flat(figures: Figures) -> dict[Point, Mean]:
    found: dict[Point, Mean] = {}
    for name in MEANS:
        figure = getattr(figures, name)
        if figure is not None:
            found[name, None] = figure
    for name in CURVES:
        found |= {(name, place): figure for place, figure in getattr(figures, name).items()}
    return found


def _pooled(
    points: _Points, gains: _Points, factor: float, *, whole: bool
) -> tuple[dict[str, Pooled], dict[str, dict[Place, Pooled]]]:
    scalars: dict[str, Pooled] = {}
    curves: dict[str, dict[Place, Pooled]] = {}
    for name, place in sorted(points.whole, key=lambda point: (point[0], _rank(point[1]))):
        point = (name, place)
        over = gains.whole.get(point) if name in GAINED else None
        pooled = _figure(points.whole[point], over, [one[point] for one in points.orders if point in one], factor)
        if place is None:
            scalars[name] = pooled
        else:
            curves.setdefault(name, {})[place] = pooled
    if whole:
        scalars |= _areas(points, gains, factor)
    return scalars, curves


def _areas(points: _Points, gains: _Points, factor: float) -> dict[str, Pooled]:
    """Return the areas of the mean curve over orders, which are the means of the orders' areas."""
    found = {}
    for name, axis in (("area", log), ("area_linear", float)):
        whole, over = area(_curve(points.whole), axis), area(_curve(gains.whole), axis)
        orders = [own for one in points.orders if (own := area(_curve(one), axis)) is not None]
        if whole is not None:
            found[name] = _figure(whole, over, orders, factor)
    return found


def _curve(points: Mapping[Point, Sum]) -> dict[int, Sum]:
    """Return the curve by checkpoint."""
    curve = {place: each for (name, place), each in points.items() if name == "checkpoints" and isinstance(place, int)}
    return dict(sorted(curve.items()))


def _figure(whole: Sum, gain: Sum | None, orders: Sequence[Sum], factor: float) -> Pooled:
    # A mean of columns may be known over all orders together and in none of them alone.
    values = [factor * each.value for each in orders or [whole]]
    return Pooled(
        factor * whole.value,
        _times(factor, whole.se),
        min(values),
        max(values),
        whole.n,
        None if gain is None else factor * gain.value,
        None if gain is None else _times(factor, gain.se),
    )


def _half_life(gains: _Points) -> HalfLife | None:
    curves = [curve for one in gains.orders if len(curve := _curve(one)) > 1]
    if not curves:
        return None
    shared = set.intersection(*(set(curve) for curve in curves))
    whole = {state: gain for state, gain in _curve(gains.whole).items() if state in shared}
    if len(whole) < 2 or next(iter(whole.values())).value < NO_GAIN:
        return None
    return HalfLife(half_life(whole), max(whole), tuple(half_life(curve) for curve in curves))


def _rank(place: Place | None) -> int:
    return place.low if isinstance(place, Bin) else place or 0


def _times(factor: float, se: float | None) -> float | None:
    return None if se is None else factor * se


def _plain(pooled: Pooled | None) -> dict[str, Any] | None:
    return None if pooled is None else pooled._asdict()


def _named(curve: str, place: Place) -> dict[str, int]:
    if isinstance(place, Bin):
        return {"from": place.low, "to": place.high}
    return {"edits_applied" if curve == "checkpoints" else "gap": place}
