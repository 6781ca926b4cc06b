"""The figures of one column over the orders of a stream: means with errors over cases, and their ranges over orders."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import log
from typing import Any, NamedTuple

from mmke.report.streams.curves import Bin, Figures, area, half_life
from mmke.report.streams.estimates import Mean, Sum, average, difference

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

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data; what was not observed is null."""
        found: dict[str, Any] = {name: _plain(self.figures.get(name)) for name in SCALARS}
        found["half_life"] = None if self.half_life is None else asdict(self.half_life)
        for name in CURVES:
            found[name] = [
                {**_named(name, place), **each._asdict()} for place, each in self.curves.get(name, {}).items()
            ]
        return found


def pool(
    each: Sequence[Figures], gains: Sequence[Figures], *, factor: float, has_gain: bool, whole: bool
) -> ColumnFigures:
    """Return figures over the orders of a stream.

    Args:
        each: of each order.
        gains: the same of the scores minus their floors.
        factor: turns scores into the column's unit.
        has_gain: whether the column's floor is something to gain on.
        whole: whether every checkpoint was reached: area and half-life are of the whole curve.
    """
    over = [_flat(one) for one in gains] if has_gain else []
    columns = _pooled([_flat(one) for one in each], over, factor, whole=whole)
    return ColumnFigures(*columns, half_life=_half_life(gains) if has_gain and whole else None)


def pool_differences(pairs: Sequence[tuple[Figures, Figures]], *, factor: float, whole: bool) -> ColumnFigures:
    """Return figures of one editor minus another's over the orders of a stream; errors are those of the pairs."""
    found = []
    for left, right in pairs:
        one, other = _flat(left), _flat(right)
        found.append({point: difference(one[point], other[point]) for point in one.keys() & other.keys()})
    return ColumnFigures(*_pooled(found, [], factor, whole=whole))


Points = Mapping[tuple[str, Place | None], Mean]
"""Every figure and every point of a curve, by its name and its place on the curve."""


def _flat(figures: Figures) -> Points:
    found: dict[tuple[str, Place | None], Mean] = {}
    for name in MEANS:
        figure = getattr(figures, name)
        if figure is not None:
            found[name, None] = figure
    for name in CURVES:
        found |= {(name, place): figure for place, figure in getattr(figures, name).items()}
    return found


def _pooled(
    each: Sequence[Points], gains: Sequence[Points], factor: float, *, whole: bool
) -> tuple[dict[str, Pooled], dict[str, dict[Place, Pooled]]]:
    scalars: dict[str, Pooled] = {}
    curves: dict[str, dict[Place, Pooled]] = {}
    for name, place in sorted({point for one in each for point in one}, key=lambda point: (point[0], _rank(point[1]))):
        values, over = _all(each, name, place), _all(gains if name in GAINED else [], name, place)
        pooled = _figure(average(values), average(over) if over else None, [one.value for one in values], factor)
        if place is None:
            scalars[name] = pooled
        else:
            curves.setdefault(name, {})[place] = pooled
    if whole:
        scalars |= _areas(each, gains, factor)
    return scalars, curves


def _all(each: Sequence[Points], name: str, place: Place | None) -> list[Mean]:
    return [one[name, place] for one in each if (name, place) in one]


def _areas(each: Sequence[Points], gains: Sequence[Points], factor: float) -> dict[str, Pooled]:
    """Return the areas of the mean curve over orders, which are the means of the orders' areas."""
    found = {}
    for name, axis in (("area", log), ("area_linear", float)):
        whole, over = area(_curve(each), axis), area(_curve(gains), axis) if gains else None
        orders = [own.value for one in each if (own := area(_curve([one]), axis)) is not None]
        if whole is not None:
            found[name] = _figure(whole, over, orders, factor)
    return found


def _curve(each: Sequence[Points]) -> dict[int, Mean]:
    """Return the curve by checkpoint over orders."""
    states = sorted({place for one in each for name, place in one if name == "checkpoints" and isinstance(place, int)})
    return {state: average(_all(each, "checkpoints", state)) for state in states}


def _figure(whole: Mean | Sum, gain: Mean | Sum | None, orders: Sequence[float], factor: float) -> Pooled:
    values = [factor * value for value in orders]
    return Pooled(
        factor * whole.value,
        _times(factor, whole.se),
        min(values),
        max(values),
        whole.n,
        None if gain is None else factor * gain.value,
        None if gain is None else _times(factor, gain.se),
    )


def _half_life(gains: Sequence[Figures]) -> HalfLife | None:
    curves = [one.checkpoints for one in gains if len(one.checkpoints) > 1]
    if not curves:
        return None
    states = sorted(set.intersection(*(set(curve) for curve in curves)))
    whole = {state: average([curve[state] for curve in curves]) for state in states}
    if len(states) < 2 or whole[states[0]].value < NO_GAIN:
        return None
    return HalfLife(half_life(whole), states[-1], tuple(half_life(curve) for curve in curves))


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
