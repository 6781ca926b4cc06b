"""Which records of a folder are finished, what they hold, and where in its files the finished part ends.

A record is written as lines of `cases.jsonl`, `answers.jsonl` and `timings.jsonl` first, and all its lines of
`rows.jsonl` after them. Each row says how many rows its record has, so that `rows.jsonl` alone tells what is finished:
a kill leaves half a record at its end, or lines of the other files whose rows are not there. That is passed over here.
Anything else was done by hand, and is an error that names the line.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.lines import ANEW, Content, Line, json_object, read_lines
from mmke.results import v1
from mmke.results.answers import ProbeAnswer, parse_answers
from mmke.results.cases import KeptCase, parse_case
from mmke.results.described import kinds_of
from mmke.results.rows import RecordKey, RowLine, parse_row, parse_rows, to_row, whole_records
from mmke.results.run_json import read_run
from mmke.results.timings import TIMINGS, Timing, parse_timing
from mmke.types import ScoreRow

CASES = "cases.jsonl"
ANSWERS = "answers.jsonl"
ROWS = "rows.jsonl"


class FinishedRecord(NamedTuple):
    """One record with all its scores, and what it cost where that is known."""

    key: RecordKey
    rows: tuple[ScoreRow, ...]
    timing: Timing | None

    @property
    def case_id(self) -> str:
        """The record's case."""
        return self.key.case_id


def read_finished(folder: Path, *, answers: bool = False) -> tuple[FinishedRecord, ...]:
    """Read a run's finished records in the order written, even while another program writes them.

    Args:
        folder: a run's folder, of this format or of the first; it is not changed.
        answers: give the rows their answers, which tables do without.

    Raises:
        UserError: a line that is not the last is broken, missing or repeated.
    """
    if _is_v1(folder):
        return tuple(FinishedRecord(key, rows, timing) for key, rows, _, timing in v1.read(folder))
    # Rows first: what another program adds meanwhile has no rows here, and no row is without its answer.
    groups = _groups(folder)
    kept = read_answers(folder) if answers else {}
    timings = {line.content.key: line.content.timing for line in read_lines(folder / TIMINGS, parse_timing)}
    found = []
    for key, group in groups.items():
        if answers and key not in kept:
            raise UserError(
                f"{folder / ANSWERS} lacks record {key.case_id!r}; copy it from where the folder came from, or delete "
                "the folder and run again"
            )
        stored = [each for _, each in kept[key]] if answers else None
        found.append(FinishedRecord(key, tuple(to_row(line.content, stored) for line in group), timings.get(key)))
    return tuple(found)


def read_answers(folder: Path) -> dict[RecordKey, tuple[ProbeAnswer, ...]]:
    """Return each record's answers, every one once and with its probe's index; none for the first format.

    Raises:
        UserError: a line is broken.
    """
    return {line.content.key: line.content.answers for line in read_lines(folder / ANSWERS, parse_answers)}


def read_cases(folder: Path) -> dict[str, KeptCase]:
    """Return the cases of a run's folder by id; of the first format what its rows tell.

    Raises:
        UserError: there is no run, or a line is broken.
    """
    if _is_v1(folder):
        return {key.case_id: KeptCase(case, (None,) * len(case.probes)) for key, _, case, _ in v1.read(folder)}
    kinds = kinds_of(read_run(folder) or {"kinds": {}})
    lines = read_lines(folder / CASES, lambda line: parse_case(line, kinds))
    return {line.content.case.id: line.content for line in lines}


class Ends(NamedTuple):
    """How many bytes of each file are of finished records, and which records and cases these are."""

    sizes: Mapping[str, int]
    records: frozenset[RecordKey]
    cases: frozenset[str]


def finished_ends(folder: Path) -> Ends:
    """Return where the finished part of each file ends; what stands behind it was left by a kill.

    Raises:
        UserError: a line that is not the last is broken, missing or repeated.
    """
    groups = _groups(folder)
    ids = frozenset(key.case_id for key in groups)
    cases = read_lines(folder / CASES, json_object)
    timings = read_lines(folder / TIMINGS, parse_timing)
    answers = read_lines(folder / ANSWERS, parse_answers)
    sizes = {
        ROWS: max((group[-1].end for group in groups.values()), default=0),
        TIMINGS: max((line.end for line in timings if line.content.key in groups), default=0),
        ANSWERS: max((line.end for line in answers if line.content.key in groups), default=0),
        CASES: max((line.end for line in cases if line.content.get("case_id") in ids), default=0),
    }
    kept = {line.content["case_id"] for line in cases if line.end <= sizes[CASES]}
    return Ends(sizes, frozenset(groups), frozenset(kept))


class RawRecord(NamedTuple):
    """A finished record as the bytes of its lines; its timing is empty where there is none."""

    case: bytes
    answers: bytes
    timing: bytes
    rows: bytes


def read_raw(folder: Path) -> dict[RecordKey, RawRecord]:
    """Return the finished records of a run's folder as bytes, in the order written; none where there is no run.

    Raises:
        UserError: a line is broken, missing or repeated.
    """
    groups = _groups(folder)
    cases = _raw(read_lines(folder / CASES, json_object), lambda plain: plain.get("case_id"))
    answers = _raw(read_lines(folder / ANSWERS, parse_answers), lambda record: record.key)
    timings = _raw(read_lines(folder / TIMINGS, parse_timing), lambda record: record.key)
    rows = _raw((line for group in groups.values() for line in group), _key)
    for file, kept in ((CASES, {key for key in groups if key.case_id in cases}), (ANSWERS, answers)):
        lacking = [key.case_id for key in groups if key not in kept]
        if lacking:
            raise UserError(f"{folder / file} lacks record {lacking[0]!r}; was it edited? Restore it, or {ANEW}")
    return {key: RawRecord(cases[key.case_id], answers[key], timings.get(key, b""), rows[key]) for key in groups}


def _raw(lines: Iterable[Line[Content]], key: Callable[[Content], object]) -> dict[Any, bytes]:
    """Return the bytes of lines, those of one key together."""
    found: dict[Any, bytes] = {}
    read: dict[Path, bytes] = {}
    for line in lines:
        if line.file not in read:
            read[line.file] = line.file.read_bytes()
        begin = read[line.file].rfind(b"\n", 0, line.end - 1) + 1
        which = key(line.content)
        found[which] = found.get(which, b"") + read[line.file][begin : line.end]
    return found


def _groups(folder: Path) -> dict[RecordKey, list[Line[RowLine]]]:
    return whole_records(read_lines(folder / ROWS, parse_row, parse_all=parse_rows), _key, lambda row: row["rows"])


def _key(row: RowLine) -> RecordKey:
    return RecordKey(row["case_id"], row["schedule"], row["edits_applied"], row["order_seed"])


def _is_v1(folder: Path) -> bool:
    run = read_run(folder)
    return run is not None and run["schema"] == v1.SCHEMA
