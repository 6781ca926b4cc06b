"""From the rows of a stream to the scores of each column, case by case and state by state."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean

from mmke.report.streams.curves import Track
from mmke.report.tags import TagOf
from mmke.results.finished import FinishedRecord
from mmke.types import ScoreRow


def tracks_of(
    records: Iterable[FinishedRecord], ends: Callable[[str], int], *, tag_of: TagOf | None = None
) -> dict[str, dict[str, Track]]:
    """Return the tracks of each column, by case; what has no score is left out.

    Args:
        records: of one stream.
        ends: returns the last state of the part of the stream that a case belongs to.
        tag_of: the tag by which every column is broken down; each value gets a column of its own beside the whole, such
            as `i_gen[held-out]`.
    """
    scores: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    floors: dict[str, dict[str, float]] = defaultdict(dict)
    positions = {}
    for record in records:
        state = record.key.edits_applied
        positions[record.case_id] = record.rows[0].position
        for column, rows in _columns(record.rows, tag_of).items():
            # The questions of one kind are averaged first, so that a case with two of them weighs no more.
            scores[column][record.case_id][state] = fmean(row.value for row in rows if row.value is not None)
            known = [row.floor for row in rows if row.floor is not None]
            if known:
                floors[column][record.case_id] = fmean(known)
    return {
        column: {
            case: Track(by_state, positions[case], ends(case), floors[column].get(case))
            for case, by_state in cases.items()
        }
        for column, cases in scores.items()
    }


def _columns(rows: Iterable[ScoreRow], tag_of: TagOf | None) -> dict[str, list[ScoreRow]]:
    """Return the rows with a score under the names of the columns that they feed."""
    found: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        if row.value is None:
            continue
        found[row.metric].append(row)
        if tag_of is not None and (tag := tag_of(row)) is not None:
            found[f"{row.metric}[{tag}]"].append(row)
    return found
