"""Time and memory of one record as one line of `timings.jsonl`.

They stand apart from the scores because no two runs agree on them. Each line also says how many rows its record has in
`rows.jsonl`: a folder tells by itself which of its records are finished.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from mmke.results.rows import DECIMALS, check_keys, json_object

Phase = Literal["edit", "before", "after"]
MemoryKind = Literal["rss", "cuda reserved", "cuda allocated"]


class Peak(NamedTuple):
    """The most bytes of a card's memory that the allocator held, and that tensors took of them."""

    reserved: int
    allocated: int


@dataclass(frozen=True, slots=True)
class Timing:
    """What one record cost.

    Attributes:
        seconds: wall clock of the edit itself, of the answers before it and of the answers after it.
        peak_memory_bytes: highest value while the record was at work; None where it was not measured.
        memory: what the peak is a peak of: the process's resident set, or what the CUDA allocator held.
        peaks: on a card, of each phase.
    """

    seconds: Mapping[Phase, float]
    peak_memory_bytes: int | None
    memory: MemoryKind
    peaks: Mapping[Phase, Peak] = field(default_factory=dict)


class TimedRecord(NamedTuple):
    """One line of `timings.jsonl`: a record, what it cost, and how many rows it has."""

    case_id: str
    rows: int
    timing: Timing


def to_line(record: TimedRecord) -> bytes:
    """Return the record's cost as one line of JSON with its newline."""
    timing = record.timing
    plain = {
        "case_id": record.case_id,
        "rows": record.rows,
        "seconds": {phase: round(timing.seconds[phase], DECIMALS) for phase in get_args(Phase)},
        "peak_memory_bytes": timing.peak_memory_bytes,
        "memory": timing.memory,
    }
    if timing.peaks:
        plain["peaks"] = {phase: peak._asdict() for phase, peak in timing.peaks.items()}
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def from_line(line: bytes) -> TimedRecord:
    """Return the record's cost that a line holds.

    Raises:
        ValueError: not JSON, or not the cost of a record.
        TypeError: a field of another type.
    """
    plain = json_object(line)
    peaks = {phase: Peak(**peak) for phase, peak in plain.pop("peaks", {}).items()}
    check_keys(plain, ("case_id", "rows", "seconds", "peak_memory_bytes", "memory"))
    if not isinstance(plain["case_id"], str) or not isinstance(plain["rows"], int):
        raise TypeError(f"case_id is {plain['case_id']!r} and rows {plain['rows']!r}, not a text and a number")
    if not isinstance(plain["seconds"], dict):
        raise TypeError(f"seconds is {plain['seconds']!r}, not an object")
    check_keys(plain["seconds"], get_args(Phase))
    _check_figures(plain)
    timing = Timing(plain["seconds"], plain["peak_memory_bytes"], plain["memory"], peaks)
    return TimedRecord(case_id=plain["case_id"], rows=plain["rows"], timing=timing)


def _check_figures(plain: Mapping[str, Any]) -> None:
    peak, memory = plain["peak_memory_bytes"], plain["memory"]
    for seconds in plain["seconds"].values():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"seconds are {seconds!r}, not a number")
    if isinstance(peak, bool) or not isinstance(peak, int | None):
        raise TypeError(f"peak_memory_bytes is {peak!r}, not a number or null")
    if memory not in get_args(MemoryKind):
        raise ValueError(f"memory is {memory!r}, not one of {', '.join(get_args(MemoryKind))}")
