"""Aggregates of hard locality: RI, NI, CI, and their mean `hard_loc`.

In: the rows of a record, and its run's kinds. Out: the same with further rows, so that a group is averaged over records
like every other column. A group (`ProbeKind.group`) is the mean of its kinds, each the mean of its probes. `hard_loc`
has no rows: each of its figures is the mean of the groups' figures (`MEAN_OF`), each over the records that have it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from mmke.results.finished import FinishedRecord
from mmke.types import ProbeKind, ScoreRow

GROUPS = ("RI", "NI", "CI")
HARD_LOC = "hard_loc"
AGGREGATES = (HARD_LOC, *GROUPS)
"""Their columns, in table order."""

MEAN_OF = {HARD_LOC: GROUPS}
"""Columns whose figures are the means of other columns' figures, in the same unit."""


def with_aggregates(records: Iterable[FinishedRecord], kinds: Mapping[str, ProbeKind]) -> list[FinishedRecord]:
    """Return records with the rows of the groups behind their own."""
    return [record._replace(rows=(*record.rows, *_aggregates(record.rows, kinds))) for record in records]


def _aggregates(rows: Sequence[ScoreRow], kinds: Mapping[str, ProbeKind]) -> Iterator[ScoreRow]:
    # A kind's own column has its name; columns of further metrics do not count.
    by_kind: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        if row.kind in kinds and kinds[row.kind].group in GROUPS and row.metric == row.kind:
            by_kind[row.kind].append(row)
    for group in GROUPS:
        yield from (_mean(some, group) for kind, some in by_kind.items() if kinds[kind].group == group)


def parts_of(column: str) -> tuple[str, ...]:
    """Return the columns that a column is the mean of: of most columns the column itself."""
    return MEAN_OF.get(column, (column,))


def with_means(columns: Iterable[str]) -> set[str]:
    """Return columns with those that are means of some of them."""
    known = set(columns)
    return known | {name for name, parts in MEAN_OF.items() if not known.isdisjoint(parts)}


def groups_told(column: str, counts: Mapping[str, int], total: int, unit: str) -> str | None:
    """Say over how many records or cases each part of a mean is, and what the mean lacks; None: each is over all.

    Args:
        column: the mean.
        counts: by part, how many records it has.
        total: all records.
        unit: what is counted, such as "records".
    """
    parts = MEAN_OF[column]
    if all(counts.get(part, 0) == total for part in parts):
        return None
    none = [part for part in parts if not counts.get(part)]
    told = ", ".join(f"{part} {counts.get(part, 0)}" for part in parts)
    lacking = f"; undefined without {' and '.join(none)}" if none else ""
    return f"{column}: {told} of {total} {unit}{lacking}"


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
