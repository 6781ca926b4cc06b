"""Several results folders side by side: the differences of the same editor, paired record by record.

In: the runs of one editor in two folders. Out: for each headline column the mean over the records of both of (value in
the later folder − value in the first), with its standard error over records. A record's value is the mean of its
questions.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from statistics import fmean
from typing import Any, NamedTuple

from mmke.report.aggregates import with_aggregates
from mmke.report.charts.intervals import interval
from mmke.report.estimates import difference, mean
from mmke.report.figures import PER_CENT, Scale
from mmke.report.page.gather import Gathered, ReadRun
from mmke.results.described import columns_of, kinds_of


class Difference(NamedTuple):
    """One column's paired difference.

    Attributes:
        label: heading of the column.
        value: later − first, in the column's unit; None: no record has both.
        se: standard error of the difference over records; needs two.
        n: records that have both.
        clear: whether the interval of 95 per cent leaves zero out.
    """

    label: str
    value: float | None
    se: float | None
    n: int
    clear: bool


def comparisons(gathered: Gathered) -> list[dict[str, Any]]:
    """Return the differences of each editor that ran in several folders on the same questions."""

    def place(run: ReadRun) -> tuple[Any, ...]:
        return tuple(run.run[name] for name in ("backbone", "benchmark", "hop", "protocol", "editor", "seed"))

    single = sorted((run for run in gathered.runs if run.cells), key=place)
    found: list[dict[str, Any]] = []
    for _, group in groupby(single, key=place):
        own = sorted(group, key=lambda run: gathered.sources.index(run.source))
        found += [_comparison(own[0], other) for other in own[1:]]
    return sorted(found, key=lambda each: each["place"])


def _comparison(first: ReadRun, other: ReadRun) -> dict[str, Any]:
    about = first.run
    return {
        "place": first.table,
        "editor": about["editor"] + (f", seed {about['seed']}" if about["seed"] else ""),
        "what": f"{other.source} − {first.source}",
        "differences": list(_differences(first, other)),
    }


def _differences(first: ReadRun, other: ReadRun) -> Iterator[Difference]:
    kinds = kinds_of(first.run)
    scale = Scale(kinds, columns_of(first.run))
    sides = [_values(run) for run in (first, other)]
    for name, kind in kinds.items():
        if not kind.headline:
            continue
        shared = sorted(sides[0][name].keys() & sides[1][name].keys())
        one, two = (mean((case, side[name][case]) for case in shared) for side in sides)
        if one is None or two is None:
            yield Difference(kind.label, None, None, 0, clear=False)
            continue
        factor = 100.0 if scale.unit(name) == PER_CENT else 1.0
        paired = difference(two, one)
        value, se = factor * paired.value, None if paired.se is None else factor * paired.se
        ends = interval(value, se, paired.n)
        yield Difference(kind.label, value, se, paired.n, clear=ends is not None and not ends[0] <= 0 <= ends[1])


def _values(run: ReadRun) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for record in with_aggregates(run.records, kinds_of(run.run)):
        scored: dict[str, list[float]] = defaultdict(list)
        for row in record.rows:
            if row.value is not None:
                scored[row.metric].append(row.value)
        for metric, values in scored.items():
            found[metric][record.case_id] = fmean(values)
    return found
