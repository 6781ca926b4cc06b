"""What an editor with a memory decided, as further columns: `i_rel_accepted` and `i_rel_chosen` beside `i_rel`.

In: the rows of a record, whose notes tell for each question whether the memory took it for one on its edits
(`accepted`), and whether the edit that it took is the case's own (`chosen`). Out: the same with a row of 0 or 1 for
each. `chosen` over all questions of a kind is the accuracy of the search at the first place.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mmke.results.finished import FinishedRecord
from mmke.types import ProbeKind, ScoreRow

ACCEPTED, CHOSEN = "accepted", "chosen"
DECISIONS = (ACCEPTED, CHOSEN)
"""Notes of rows, and endings of columns."""


def with_decisions(records: Sequence[FinishedRecord], kinds: Mapping[str, ProbeKind]) -> list[FinishedRecord]:
    """Return the records of a run with the rows of what was decided behind their own."""
    # An editor that puts all its edits into the prompt accepts, and chooses none of them.
    chooses = any(CHOSEN in row.notes for record in records for row in record.rows)
    wanted = DECISIONS if chooses else (ACCEPTED,)
    return [record._replace(rows=(*record.rows, *_decisions(record.rows, kinds, wanted))) for record in records]


def _decisions(rows: Iterable[ScoreRow], kinds: Mapping[str, ProbeKind], wanted: Sequence[str]) -> Iterator[ScoreRow]:
    for row in rows:
        # A kind's own column has its name; further metrics score the same decision again.
        if row.metric == row.kind and row.kind in kinds and ACCEPTED in row.notes:
            for decision in wanted:
                value = float(row.notes.get(decision, 0))
                yield replace(
                    row, metric=f"{row.kind}_{decision}", value=value, floor=None, reason=None, before=None, after=None
                )
