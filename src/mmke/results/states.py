"""The health of an edited model at one checkpoint of a stream, as one line of `states.jsonl`, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import Line, edited, json_object, read_lines, rounded, to_line, validated

STATES = "states.jsonl"


@dataclass(frozen=True, slots=True)
class StateRecord:
    """What a model is worth after so many edits, apart from what it was taught.

    Attributes:
        edits_applied: how many cases were in the model.
        perplexity: of a fixed text, as the edited model reads it; None where it is no finite number.
        perplexity_unedited: the same of the unedited model.
        repeated: share of the fixed questions whose written answer is one token repeated.
        agreement: mean agreement with the unedited model on the locality questions of the records that were asked in
            this state, in [0, 1]; None where none was.
        finite: whether all tensors of the edit and all log-probabilities are finite numbers.
        collapsed: why the model counts as collapsed; None: it does not.
        warning: what is not a collapse yet, in words; None: nothing.
        step: number of the stream's last step before this state; None: before the first. Where a stream is reset, it
            tells apart the states with the same number of edits.
        more: further figures of this state, and fields of a later version, kept as they are.
    """

    edits_applied: int
    perplexity: float | None
    perplexity_unedited: float | None
    repeated: float
    agreement: float | None
    finite: bool
    collapsed: str | None
    warning: str | None = None
    step: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


class _StateLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    edits_applied: NonNegativeInt
    perplexity: float | None
    perplexity_unedited: float | None
    repeated: float
    agreement: float | None
    finite: bool
    collapsed: str | None
    warning: NotRequired[str | None]
    step: NotRequired[NonNegativeInt | None]


_FIGURES = ("perplexity", "perplexity_unedited", "repeated", "agreement")
_ADAPTER = TypeAdapter(_StateLine)


def state_line(record: StateRecord) -> bytes:
    """Return the state as one line of JSON with its newline."""
    plain = {name: getattr(record, name) for name in _StateLine.__annotations__}
    plain |= {name: rounded(plain[name]) for name in _FIGURES}
    return to_line(plain | dict(sorted(record.more.items())))


def parse_state(line: bytes) -> StateRecord:
    """Return the state that a line holds.

    Raises:
        ValueError: not JSON, or not a state.
        TypeError: it is not an object.
    """
    plain: dict[str, Any] = dict(validated(_ADAPTER.validate_python, json_object(line)))
    known = {name: plain.pop(name) for name in _StateLine.__annotations__ if name in plain}
    return StateRecord(**known, more=plain)


def read_state_lines(folder: Path) -> list[Line[StateRecord]]:
    """Return the complete lines of a stream's `states.jsonl`; half a line at the end is what a kill left.

    Raises:
        UserError: a line is broken or repeated; the message names it.
    """
    lines = read_lines(folder / STATES, parse_state)
    seen: set[tuple[int | None, int]] = set()
    for line in lines:
        which = (line.content.step, line.content.edits_applied)
        if which in seen:
            raise edited(line.place, f"the state after {which[1]} edits stands in two places")
        seen.add(which)
    return lines


def read_states(folder: Path) -> tuple[StateRecord, ...]:
    """Return the states of a stream's folder, in their order; none where there is no `states.jsonl`.

    Raises:
        UserError: a line is broken or repeated; the message names it.
    """
    return tuple(line.content for line in read_state_lines(folder))
