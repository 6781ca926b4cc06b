"""From the rows of one folder to one figure per column.

In: rows, record by record. Out: a `Figure` (mean, standard error, gain over the floor) for each column. There are two
averages. *Macro*: first the probes of a record are averaged (two relation questions count as one), then the
records, so that a long answer weighs no more than a short one. *Micro*: what was right over what was counted (tokens,
entries of a ranking) in all records together; KE's figures were published like that. Figures are per cent, except those
of metrics that say another unit. `hard_loc` is the mean of the figures of other columns.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, NamedTuple

from mmke.report.aggregates import AGGREGATES, MEAN_OF
from mmke.report.estimates import mean, mean_of
from mmke.results.described import Column
from mmke.types import ProbeKind, ScoreRow

PER_CENT = "per cent"

Average = Literal["macro", "micro"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One column of one cell, in the column's unit; None where undefined.

    Attributes:
        value: the average over records.
        se: its standard error over records; needs two records.
        gain: the same of the value minus the floor of the same probes; None for locality.
        gain_se: standard error of the gain.
        n: records with a value; of a mean of other columns, with a value in one of them.
        n_unscored: records without.
        n_partial: records whose value leaves out a question that has no score, or one of the other columns.
    """

    value: float | None
    se: float | None
    gain: float | None
    gain_se: float | None
    n: int
    n_unscored: int
    n_partial: int = 0


@dataclass(frozen=True)
class Scale:
    """How rows become figures: the run's kinds and columns, and the average that is taken."""

    kinds: Mapping[str, ProbeKind]
    columns: Mapping[str, Column]
    average: Average = "macro"

    def unit(self, metric: str) -> str:
        """Return the unit of a column's figures; `metric` may carry a tag, as in `i_loc_kl[trained]`."""
        column = self.columns.get(metric.partition("[")[0])
        return PER_CENT if column is None else column.unit

    def has_gain(self, row: ScoreRow) -> bool:
        """Whether a row's floor is something to gain on: locality compares two models by itself."""
        kind = self.kinds.get(row.kind)
        return kind is None or "locality" not in kind.role


class _Mean(NamedTuple):
    mean: float | None
    se: float | None


def figures(
    records: Sequence[Sequence[ScoreRow]], scale: Scale, *, tag_of: Callable[[ScoreRow], str | None] | None = None
) -> dict[str, Figure]:
    """Return the figure of each column over records given by their rows, headline kinds first.

    Args:
        records: the rows of each record.
        scale: the run's kinds and columns, and the average.
        tag_of: the tag by which every figure is broken down; each value gets figures of its own beside the whole, such
            as `i_gen[held-out]`.
    """
    whole = _gather(records, lambda row: row.metric)
    found = {metric: _figure(metric, asked, len(records), scale) for metric, asked in whole.items()}
    if tag_of is not None:
        parts = _gather(records, lambda row: None if (tag := tag_of(row)) is None else f"{row.metric}[{tag}]")
        # A record without this value of the tag is not asked here, so it is not unscored either.
        found |= {key: _figure(key, asked, len(asked), scale) for key, asked in parts.items()}
    for name, columns in MEAN_OF.items():
        if not whole.keys().isdisjoint(columns):
            found[name] = _mean_figure([found.get(column) for column in columns], records, columns, scale.average)
    kinds = scale.kinds.values()
    headline = [kind.name for kind in kinds if kind.headline]
    first = [*headline, *AGGREGATES, *(kind.name for kind in kinds if not kind.headline)]
    rank = {metric: index for index, metric in enumerate(first)}
    return {
        metric: found[metric] for metric in sorted(found, key=lambda metric: (rank.get(metric, len(first)), metric))
    }


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


def _figure(metric: str, asked: Sequence[Sequence[ScoreRow]], n_records: int, scale: Scale) -> Figure:
    values = [[(row.value, row.n_scored) for row in rows if row.value is not None] for rows in asked]
    gains = [
        [
            (row.value - row.floor, row.n_scored)
            for row in rows
            if row.value is not None and row.floor is not None and scale.has_gain(row)
        ]
        for rows in asked
    ]
    factor = 100.0 if scale.unit(metric) == PER_CENT else 1.0
    value, gain = _average(values, scale.average, factor), _average(gains, scale.average, factor)
    n = sum(map(bool, values))
    partial = sum(0 < len(some) < len(rows) for some, rows in zip(values, asked, strict=True))
    return Figure(value.mean, value.se, gain.mean, gain.se, n, n_records - n, partial)


def _mean_figure(
    figures: Sequence[Figure | None], records: Sequence[Sequence[ScoreRow]], columns: Sequence[str], average: Average
) -> Figure:
    """Return the mean of the figures of columns of locality, each over the records that have it, in per cent."""
    each: list[dict[str, list[float]]] = []
    for column in columns:
        rows = ((str(i), [row.value for row in record if row.metric == column]) for i, record in enumerate(records))
        scored = ((i, [100.0 * value for value in values if value is not None]) for i, values in rows)
        each.append({i: values if average == "micro" else [fmean(values)] for i, values in scored if values})
    n = len({i for values in each for i in values})
    partial = n - len(set.intersection(*(set(values) for values in each)))
    parts = [mean((i, value) for i, some in values.items() for value in some) for values in each]
    known = [part for part in parts if part is not None]
    if len(known) < len(columns):
        return Figure(None, None, None, None, n, len(records) - n, partial)
    value = fmean(figure.value for figure in figures if figure is not None and figure.value is not None)
    return Figure(value, mean_of(known).se, None, None, n, len(records) - n, partial)


def _average(records: Sequence[Sequence[tuple[float, int]]], average: Average, factor: float) -> _Mean:
    """Return the average of numbers with weights, record by record; records without a number are passed over."""
    some = [record for record in records if record]
    if not some:
        return _Mean(None, None)
    if average == "macro":
        means = [fmean(number for number, _ in record) for record in some]
        se = factor * stdev(means) / len(means) ** 0.5 if len(means) > 1 else None
        return _Mean(factor * fmean(means), se)
    sums = [sum(number * weight for number, weight in record) for record in some]
    weights = [sum(weight for _, weight in record) for record in some]
    return _ratio(sums, weights, factor)


def _ratio(sums: Sequence[float], weights: Sequence[int], factor: float) -> _Mean:
    """Return a ratio of two sums over records; its standard error is linearised (Cochran 1977, section 6.4)."""
    total, n = sum(weights), len(sums)
    if not total:
        return _Mean(None, None)
    ratio = sum(sums) / total
    if n < 2:
        return _Mean(factor * ratio, None)
    spread = sum((each - ratio * weight) ** 2 for each, weight in zip(sums, weights, strict=True))
    return _Mean(factor * ratio, factor * (n / (n - 1) * spread) ** 0.5 / total)
