"""What a model of a stream answered to the questions of one suite of abilities, as one line of `abilities.jsonl`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, NonNegativeInt, Strict, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import Line, edited, json_object, read_lines, to_line, validated

ABILITIES = "abilities.jsonl"


class AnswerRecord(TypedDict):
    """What was said to one question, and whether it is exactly right, and begins with what is right."""

    id: Annotated[str, Strict()]
    text: Annotated[str, Strict()] | None
    exact: Annotated[bool, Strict()]
    starts: Annotated[bool, Strict()]


@dataclass(frozen=True, slots=True)
class AbilityRecord:
    """The answers of a model in one state.

    Attributes:
        edits_applied: how many cases were in the model; 0: the unedited one.
        step: number of the stream's last step before this state; None: before the first.
        suite: name of the suite.
        revision: digest of its questions.
        available: how many questions the suite has, of which those of `answers` were drawn.
        left_out: how many of them were not drawn from, because edits of the stream are about what they show.
        answers: in the order of the questions.
        more: fields of a later version, kept as they are.
    """

    edits_applied: int
    step: int | None
    suite: str
    revision: str
    available: int
    left_out: int
    answers: tuple[AnswerRecord, ...]
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int | None, str]:
        """Return what identifies it within its stream: the step, and the suite."""
        return self.step, self.suite


class _AbilityLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    edits_applied: NonNegativeInt
    step: NonNegativeInt | None
    suite: str
    revision: str
    available: NonNegativeInt
    left_out: NonNegativeInt
    answers: list[AnswerRecord]


_ADAPTER = TypeAdapter(_AbilityLine)


def ability_line(record: AbilityRecord) -> bytes:
    """Return the record as one line of JSON with its newline."""
    plain = {name: getattr(record, name) for name in _AbilityLine.__annotations__}
    return to_line(plain | dict(sorted(record.more.items())))


def parse_ability(line: bytes) -> AbilityRecord:
    """Return the record that a line holds.

    Raises:
        ValueError: not JSON, or no such record.
        TypeError: it is not an object.
    """
    plain: dict[str, Any] = dict(validated(_ADAPTER.validate_python, json_object(line)))
    known = {name: plain.pop(name) for name in _AbilityLine.__annotations__}
    return AbilityRecord(**known | {"answers": tuple(known["answers"])}, more=plain)


def read_ability_lines(folder: Path) -> list[Line[AbilityRecord]]:
    """Return the complete lines of a stream's `abilities.jsonl`; half a line at the end is what a kill left.

    Raises:
        UserError: a line is broken or repeated; the message names it.
    """
    lines = read_lines(folder / ABILITIES, parse_ability)
    seen: set[tuple[int | None, str]] = set()
    for line in lines:
        if line.content.key in seen:
            state = line.content.edits_applied
            raise edited(line.place, f"the answers to {line.content.suite} after {state} edits stand in two places")
        seen.add(line.content.key)
    return lines


def read_abilities(folder: Path) -> tuple[AbilityRecord, ...]:
    """Return the records of a stream's folder, in their order; none where there is no `abilities.jsonl`.

    Raises:
        UserError: a line is broken or repeated; the message names it.
    """
    return tuple(line.content for line in read_ability_lines(folder))
