"""A score as one line of `rows.jsonl`, and back.

A row names the record that it belongs to, and how many rows that record has: `rows.jsonl` alone tells which records are
finished. The answers stand in `answers.jsonl`, what was asked in `cases.jsonl`; a row holds the place of its answers
in its record's line there. Fields that this version does not know are kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, NotRequired

from pydantic import ConfigDict, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mmke.errors import UserError
from mmke.lines import Content, Line, edited, json_object, rounded, to_line, validated
from mmke.types import ScoreRow, StoredAnswer

EMPTY = "empty"
UNENDED = "unended"
"""Notes of a row that scores what the model wrote by itself: 1 where that is empty, or was cut off at its limit."""


class RecordKey(NamedTuple):
    """Which record of a run a row belongs to: a case, asked with so many edits in the model."""

    case_id: str
    schedule: str
    edits_applied: int
    order_seed: int | None

    @classmethod
    def of(cls, row: ScoreRow) -> "RecordKey":
        """Return the record that a row belongs to."""
        return cls(row.case_id, row.schedule, row.edits_applied, row.order_seed)


class RowLine(TypedDict):
    """The fields of a line, in their order."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    case_id: str
    probe: NonNegativeInt | None
    kind: str
    metric: str
    schedule: str
    edits_applied: NonNegativeInt
    order_seed: int | None
    position: NotRequired[NonNegativeInt]
    rows: PositiveInt
    value: float | None
    floor: float | None
    n_scored: int
    reason: str | None
    notes: dict[str, int]
    before: NonNegativeInt | None
    after: NonNegativeInt | None


_ADAPTER = TypeAdapter(RowLine)
_ALL = TypeAdapter(list[RowLine])
_KNOWN = frozenset(RowLine.__annotations__)


def whole_records(
    lines: Iterable[Line[Content]], key: Callable[[Content], RecordKey], rows: Callable[[Content], int | None]
) -> dict[RecordKey, list[Line[Content]]]:
    """Return the lines of each finished record, in the order written; what a kill left of the last one is passed over.

    Args:
        lines: of `rows.jsonl`.
        key: returns a line's record.
        rows: returns how many rows its record has; None where that is not known.

    Raises:
        UserError: a record other than the last has too few rows, or its rows stand in two places.
    """
    groups: dict[RecordKey, list[Line[Content]]] = {}
    short: UserError | None = None
    for record, grouped in groupby(lines, key=lambda line: key(line.content)):
        group = list(grouped)
        if record in groups:
            raise edited(group[0].place, f"the rows of record {record.case_id!r} stand in two places")
        if short is not None:
            raise short
        wanted = rows(group[0].content)
        if wanted is not None and len(group) != wanted:
            short = edited(group[0].place, f"record {record.case_id!r} has {len(group)} of its {wanted} rows")
            if len(group) > wanted:
                raise short
            continue
        groups[record] = group
    return groups


def row_line(row: ScoreRow, *, rows: int, before: int | None, after: int | None) -> bytes:
    """Return the row as a line.

    Args:
        row: the score.
        rows: how many rows its record has.
        before: the place of the reference model's answer in its record's line of `answers.jsonl`; None: there is none.
        after: the place of the edited model's answer.
    """
    value, reason = rounded(row.value), row.reason
    if value is None and reason is None:
        reason = "no score" if row.value is None else f"the score is {row.value}"
    line: dict[str, Any] = {
        "case_id": row.case_id,
        "probe": row.probe,
        "kind": row.kind,
        "metric": row.metric,
        "schedule": row.schedule,
        "edits_applied": row.edits_applied,
        "order_seed": row.order_seed,
        **({} if row.position is None else {"position": row.position}),
        "rows": rows,
        "value": value,
        "floor": rounded(row.floor),
        "n_scored": row.n_scored,
        "reason": reason,
        "notes": dict(sorted(row.notes.items())),
        "before": before,
        "after": after,
    }
    return to_line(line | dict(sorted(row.more.items())))


def parse_row(line: bytes) -> RowLine:
    """Return what a line holds.

    Raises:
        ValueError: not JSON, or not a row.
        TypeError: it is not an object.
    """
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        # Slower, but it says what is wrong; and it reads a lone surrogate, which pydantic's own reader does not.
        return validated(_ADAPTER.validate_python, json_object(line))


def parse_rows(lines: bytes) -> list[RowLine]:
    """Return what a JSON array of lines holds.

    Raises:
        ValueError: one of them is not JSON, or not a row.
    """
    return _ALL.validate_json(lines)


def to_row(plain: RowLine, answers: Sequence[StoredAnswer] | None = None) -> ScoreRow:
    """Return the score that a line holds; `answers` are those of its record, None leaves them out."""
    before, after = plain["before"], plain["after"]
    return ScoreRow(
        case_id=plain["case_id"],
        probe=plain["probe"],
        kind=plain["kind"],
        metric=plain["metric"],
        schedule=plain["schedule"],
        edits_applied=plain["edits_applied"],
        order_seed=plain["order_seed"],
        value=plain["value"],
        floor=plain["floor"],
        n_scored=plain["n_scored"],
        reason=plain["reason"],
        notes=plain["notes"],
        before=None if answers is None or before is None else answers[before],
        after=None if answers is None or after is None else answers[after],
        position=plain.get("position"),
        more=_unknown(plain),
    )


def _unknown(plain: Mapping[str, Any]) -> dict[str, Any]:
    if plain.keys() <= _KNOWN:  # most rows; this is quicker than to build an empty mapping
        return {}
    return {key: value for key, value in plain.items() if key not in _KNOWN}
