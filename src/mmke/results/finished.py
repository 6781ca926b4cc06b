"""Which records of a folder are finished, and where in its files the finished part ends.

A record is written as its line of `timings.jsonl` first and all its lines of `rows.jsonl` after it. A kill can thus
leave half a timing, a timing without rows, or a part of the rows: always of the last record and always at the end.
That is passed over here. Anything else was done by hand, and is an error that names the line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from mmke.errors import UserError
from mmke.results import rows as row_lines
from mmke.results import timings as timing_lines
from mmke.results.timings import TimedRecord, Timing
from mmke.types import ScoreRow

ROWS = "rows.jsonl"
TIMINGS = "timings.jsonl"

Content = TypeVar("Content")


class FinishedRecord(NamedTuple):
    """One record with all its scores and what it cost."""

    case_id: str
    rows: tuple[ScoreRow, ...]
    timing: Timing


class Finished(NamedTuple):
    """The finished records in the order written, and how many bytes of each file they take."""

    records: tuple[FinishedRecord, ...]
    rows_end: int
    timings_end: int


@dataclass(frozen=True, slots=True)
class _Line(Generic[Content]):
    place: str
    end: int
    content: Content


def read_finished(folder: Path) -> Finished:
    """Read a run's folder without changing it, even while another program writes it.

    Raises:
        UserError: a line that is not the last is broken, missing or repeated.
    """
    # Rows before timings: a record written meanwhile shows as a timing without rows, never the other way round.
    rows = _lines(folder / ROWS, row_lines.from_line)
    timings = _lines(folder / TIMINGS, timing_lines.from_line)
    groups = [list(group) for _, group in groupby(rows, key=lambda line: line.content.case_id)]
    _check_unique([group[0] for group in groups])
    if groups and _was_interrupted(groups[-1], timings[len(groups) - 1 : len(groups)]):
        groups.pop()
    return Finished(
        records=tuple(_finished(group, timings[i : i + 1]) for i, group in enumerate(groups)),
        rows_end=groups[-1][-1].end if groups else 0,
        timings_end=timings[len(groups) - 1].end if groups else 0,
    )


def _lines(file: Path, parse: Callable[[bytes], Content]) -> list[_Line[Content]]:
    """Return the complete lines of a file; one without its newline is what a kill left."""
    content = file.read_bytes() if file.exists() else b""
    found: list[_Line[Content]] = []
    start = 0
    while (end := content.find(b"\n", start) + 1) > 0:
        place = f"{file}, line {len(found) + 1}"
        try:
            found.append(_Line(place, end, parse(content[start:end])))
        except (ValueError, TypeError) as error:
            raise _edited(place, str(error)) from error
        start = end
    return found


def _was_interrupted(group: Sequence[_Line[ScoreRow]], timing: Sequence[_Line[TimedRecord]]) -> bool:
    return bool(timing) and len(group) < timing[0].content.rows


def _finished(group: Sequence[_Line[ScoreRow]], timing: Sequence[_Line[TimedRecord]]) -> FinishedRecord:
    first = group[0].content
    if not timing or timing[0].content.case_id != first.case_id:
        raise _edited(group[0].place, f"record {first.case_id!r} is not at its place in {TIMINGS}")
    record = timing[0].content
    if len(group) != record.rows:
        raise _edited(group[0].place, f"record {first.case_id!r} has {len(group)} of its {record.rows} rows")
    return FinishedRecord(first.case_id, tuple(line.content for line in group), record.timing)


def _check_unique(firsts: Sequence[_Line[ScoreRow]]) -> None:
    seen: set[str] = set()
    for line in firsts:
        if line.content.case_id in seen:
            raise _edited(line.place, f"the rows of record {line.content.case_id!r} stand in two places")
        seen.add(line.content.case_id)


def _edited(place: str, why: str) -> UserError:
    return UserError(f"{place}: {why}; was the file edited? Restore it, or delete its folder and run again")
