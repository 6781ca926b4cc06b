"""Aggregates of hard locality: RI, NI, CI, and their mean `hard_loc`.

In: the rows of a record, and its run's kinds. Out: the same with further rows, so that an aggregate is averaged over
records like every other column. A group (`ProbeKind.group`) is the mean of its kinds, each the mean of its probes;
`hard_loc` is the mean of the three groups, and has no score where one of them has none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from mmke.results.finished import FinishedRecord
from mmke.types import ProbeKind, ScoreRow

GROUPS = ("RI", "NI", "CI")
HARD_LOC = "hard_loc"
AGGREGATES = (HARD_LOC, *GROUPS)
"""Their columns, in table order."""

LACKING = "one of the three groups was not asked"


def with_aggregates(records: Iterable[FinishedRecord], kinds: Mapping[str, ProbeKind]) -> list[FinishedRecord]:
    """Return records with the rows of the aggregates behind their own."""
    return [record._replace(rows=(*record.rows, *_aggregates(record.rows, kinds))) for record in records]


def _aggregates(rows: Sequence[ScoreRow], kinds: Mapping[str, ProbeKind]) -> Iterator[ScoreRow]:
    # A kind's own column has its name; columns of further metrics do not count.
    by_kind: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        if row.kind in kinds and kinds[row.kind].group in GROUPS and row.metric == row.kind:
            by_kind[row.kind].append(row)
    if not by_kind:
        return
    means = {
        group: [_mean(some, group) for kind, some in by_kind.items() if kinds[kind].group == group] for group in GROUPS
    }
    for group in GROUPS:
        yield from means[group]
    whole = [_mean(some, HARD_LOC) for some in means.values() if some]
    lacking = next((row.reason for row in whole if row.value is None), None if len(whole) == len(GROUPS) else LACKING)
    mean = _mean(whole, HARD_LOC)
    yield mean if lacking is None else replace(mean, value=None, n_scored=0, reason=lacking)


def _mean(rows: Sequence[ScoreRow], column: str) -> ScoreRow:
    """Return one row for several: the mean of those with a score, or the reasons where none has one."""
    values = [row.value for row in rows if row.value is not None]
    return ScoreRow(
        case_id=rows[0].case_id,
        probe=None,
        kind=column,
        metric=column,
        edits_applied=rows[0].edits_applied,
        value=fmean(values) if values else None,
        floor=None,
        n_scored=min(len(values), 1),
        reason=None if values else "; ".join(dict.fromkeys(row.reason or "" for row in rows)),
        notes={},
        before=None,
        after=None,
        schedule=rows[0].schedule,
        order_seed=rows[0].order_seed,
        position=rows[0].position,
    )
