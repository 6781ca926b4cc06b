"""One step of a stream as one line of `steps.jsonl`, and back: which cases were edited in together, and what it cost.

A step is one call of `apply` with the edits of one or more cases. The lines stand in the order of the steps, so that
the file tells which cases were in the model at any time. No two runs agree on `seconds` and on the peak of memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import Line, edited, json_object, read_lines, rounded, to_line, validated
from mmke.results.timings import MemoryKind

STEPS = "steps.jsonl"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: what was applied together, and what it cost.

    Attributes:
        step: its number in the whole stream, from 0.
        edits_applied: how many cases were in the model when the step had ended.
        cases: ids of the step's cases.
        refused: those among them whose edits could not be made, with the reason.
        distractors: whether these are edits that only fill the model, and are never asked about.
        seconds: wall clock of the step.
        peak_memory_bytes: highest value during the step; None where it was not measured.
        memory: what the peak is a peak of.
        state_bytes: what a saved session of this state needs beyond the model; None where it was not measured.
        more: fields of a later version, kept as they are.
    """

    step: int
    edits_applied: int
    cases: tuple[str, ...]
    refused: Mapping[str, str]
    distractors: bool
    seconds: float
    peak_memory_bytes: int | None
    memory: MemoryKind
    state_bytes: int | None
    more: Mapping[str, Any] = field(default_factory=dict)


class _StepLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    step: NonNegativeInt
    edits_applied: NonNegativeInt
    cases: list[str]
    refused: dict[str, str]
    distractors: bool
    seconds: float
    peak_memory_bytes: NonNegativeInt | None
    memory: MemoryKind
    state_bytes: NonNegativeInt | None


_ADAPTER = TypeAdapter(_StepLine)


def step_line(record: StepRecord) -> bytes:
    """Return the step as one line of JSON with its newline."""
    plain = {name: getattr(record, name) for name in _StepLine.__annotations__}
    plain |= {"refused": dict(record.refused), "seconds": rounded(record.seconds)}
    return to_line(plain | dict(sorted(record.more.items())))


def parse_step(line: bytes) -> StepRecord:
    """Return the step that a line holds.

    Raises:
        ValueError: not JSON, or not a step.
        TypeError: it is not an object.
    """
    plain: dict[str, Any] = dict(validated(_ADAPTER.validate_python, json_object(line)))
    known = {name: plain.pop(name) for name in _StepLine.__annotations__}
    return StepRecord(**known | {"cases": tuple(known["cases"])}, more=plain)


def read_step_lines(folder: Path) -> list[Line[StepRecord]]:
    """Return the complete lines of a stream's `steps.jsonl`; half a line at the end is what a kill left.

    Raises:
        UserError: a line is broken, missing or repeated; the message names it.
    """
    lines = read_lines(folder / STEPS, parse_step)
    for line in lines:
        if line.content.step != line.number - 1:
            raise edited(line.place, f"step {line.content.step} stands where step {line.number - 1} belongs")
    return lines


def read_steps(folder: Path) -> tuple[StepRecord, ...]:
    """Return the steps of a stream's folder, in their order; none where there is no `steps.jsonl`.

    Raises:
        UserError: a line is broken, missing or repeated; the message names it.
    """
    return tuple(line.content for line in read_step_lines(folder))
