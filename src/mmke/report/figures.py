"""From the rows of one folder to one figure per metric.

First the probes of a record are averaged (two relation questions count as one), then the records: a macro average, so
that a long answer weighs no more than a short one. Figures are per cent, except divergences (`…_kl`), which are nats.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, NamedTuple

from mmke.types import HEADLINE_KINDS, LOCALITY_KINDS, RECALL_KINDS, ScoreRow

Unit = Literal["per cent", "nats"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one cell, in the metric's unit; None where undefined.

    Attributes:
        value: mean over records.
        se: sample standard deviation over records / √n; needs two records.
        gain: mean over records of the value minus the floor of the same probes; None for locality.
        gain_se: standard error of the gain.
        n: records with a value.
        n_unscored: records without.
    """

    value: float | None
    se: float | None
    gain: float | None
    gain_se: float | None
    n: int
    n_unscored: int


class _Mean(NamedTuple):
    mean: float | None
    se: float | None


def unit(metric: str) -> Unit:
    """Return the unit of a metric's figures; `metric` may carry a tag, as in `i_loc_kl[trained]`."""
    return "nats" if metric.partition("[")[0].endswith("_kl") else "per cent"


def figures(records: Sequence[Sequence[ScoreRow]], *, by: str | None = None) -> dict[str, Figure]:
    """Return the figure of each metric, headline metrics first, over records given by their rows.

    Args:
        records: the rows of each record.
        by: a tag; each of its values gets figures of its own beside the whole, such as `i_gen[held-out]`.
    """
    whole = _gather(records, lambda row: row.metric)
    found = {metric: _figure(metric, asked, len(records)) for metric, asked in whole.items()}
    if by is not None:
        parts = _gather(records, lambda row: f"{row.metric}[{row.tags[by]}]" if by in row.tags else None)
        # A record without this value of the tag is not asked here, so it is not unscored either.
        found |= {key: _figure(key, asked, len(asked)) for key, asked in parts.items()}
    return {metric: found[metric] for metric in sorted(found, key=_rank)}


def _gather(
    records: Sequence[Sequence[ScoreRow]], key: Callable[[ScoreRow], str | None]
) -> dict[str, list[list[ScoreRow]]]:
    """Return under each key the rows of each record that has rows of that key."""
    found: dict[str, list[list[ScoreRow]]] = defaultdict(list)
    for record in records:
        rows: dict[str, list[ScoreRow]] = defaultdict(list)
        for row in record:
            name = key(row)
            if name is not None:
                rows[name].append(row)
        for name, some in rows.items():
            found[name].append(some)
    return found


def _figure(metric: str, asked: Sequence[Sequence[ScoreRow]], n_records: int) -> Figure:
    scale = 100.0 if unit(metric) == "per cent" else 1.0
    values = [fmean(some) for rows in asked if (some := [r.value for r in rows if r.value is not None])]
    gains = [fmean(some) for rows in asked if (some := _gains(rows))]
    value, gain = _mean(values, scale), _mean(gains, scale)
    return Figure(
        value=value.mean,
        se=value.se,
        gain=gain.mean,
        gain_se=gain.se,
        n=len(values),
        n_unscored=n_records - len(values),
    )


def _gains(rows: Sequence[ScoreRow]) -> list[float]:
    return [
        row.value - row.floor
        for row in rows
        if row.value is not None and row.floor is not None and row.kind not in LOCALITY_KINDS
    ]


def _mean(values: Sequence[float], scale: float) -> _Mean:
    if not values:
        return _Mean(None, None)
    se = scale * stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return _Mean(scale * fmean(values), se)


def _rank(metric: str) -> tuple[int, str]:
    first: tuple[str, ...] = HEADLINE_KINDS + RECALL_KINDS
    return (first.index(metric) if metric in first else len(first), metric)
