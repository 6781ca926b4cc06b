"""Time and memory of one record as one line of `timings.jsonl`.

They stand apart from the scores because no two runs agree on them. A folder can be read without this file: what its
records cost is then unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NotRequired, get_args

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import DECIMALS, json_object, to_line, validated
from mmke.results.rows import RecordKey

TIMINGS = "timings.jsonl"

Phase = Literal["edit", "before", "after"]
PHASES: tuple[Phase, ...] = get_args(Phase)
MemoryKind = Literal["rss", "cuda reserved", "cuda allocated"]


class Peak(NamedTuple):
    """The most bytes of a GPU's memory that the allocator held, and that tensors took of them."""

    reserved: int
    allocated: int


@dataclass(frozen=True, slots=True)
class Timing:
    """What one record cost.

    Attributes:
        seconds: wall clock of the edit itself, of the answers before it and of the answers after it.
        peak_memory_bytes: highest value while the record was at work; None where it was not measured.
        memory: what the peak is a peak of: the process's resident set, or what the CUDA allocator held.
        peaks: on a GPU, of each phase.
    """

    seconds: Mapping[Phase, float]
    peak_memory_bytes: int | None
    memory: MemoryKind
    peaks: Mapping[Phase, Peak] = field(default_factory=dict)


class TimedRecord(NamedTuple):
    """One line of `timings.jsonl`: a record and what it cost; in the first format also how many rows it has."""

    key: RecordKey
    timing: Timing
    rows: int | None = None


class _Seconds(TypedDict):
    edit: float
    before: float
    after: float


class _Peak(TypedDict):
    reserved: int
    allocated: int


class _TimingLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    case_id: str
    schedule: NotRequired[str]
    edits_applied: NotRequired[int]
    order_seed: NotRequired[int | None]
    rows: NotRequired[int]
    seconds: _Seconds
    peak_memory_bytes: int | None
    memory: MemoryKind
    peaks: NotRequired[dict[Phase, _Peak]]


_ADAPTER = TypeAdapter(_TimingLine)


def timing_line(record: TimedRecord) -> bytes:
    """Return the record's cost as one line of JSON with its newline."""
    timing = record.timing
    plain = {
        **record.key._asdict(),
        "seconds": {phase: round(timing.seconds[phase], DECIMALS) for phase in PHASES},
        "peak_memory_bytes": timing.peak_memory_bytes,
        "memory": timing.memory,
    }
    if timing.peaks:
        plain["peaks"] = {phase: peak._asdict() for phase, peak in timing.peaks.items()}
    return to_line(plain)


def parse_timing(line: bytes) -> TimedRecord:
    """Return the record's cost that a line holds; a line of the first format names only the case.

    Raises:
        ValueError: not JSON, or not the cost of a record.
        TypeError: it is not an object.
    """
    plain = validated(_ADAPTER.validate_python, json_object(line))
    key = RecordKey(
        plain["case_id"], plain.get("schedule", "single"), plain.get("edits_applied", 0), plain.get("order_seed")
    )
    peaks = {phase: Peak(peak["reserved"], peak["allocated"]) for phase, peak in plain.get("peaks", {}).items()}
    seconds: dict[Phase, float] = {phase: plain["seconds"][phase] for phase in PHASES}
    timing = Timing(seconds, plain["peak_memory_bytes"], plain["memory"], peaks)
    return TimedRecord(key, timing, plain.get("rows"))
