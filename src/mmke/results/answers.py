"""The models' answers to one record's probes, as one line of `answers.jsonl`, and back.

Several rows are scores of one answer: it is kept once, and the rows hold its place. Kept is what the metrics of single
tokens and of texts need to score it again (`mmke score`); the probabilities of the whole vocabulary are never kept.
"""

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any, NamedTuple, NotRequired

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import json_object, rounded, to_line, validated
from mmke.results.rows import RecordKey
from mmke.types import Ask, ScoreRow, StoredAnswer

ProbeAnswer = tuple[int, StoredAnswer]
"""A probe's index in its case, and one answer to it."""


class RecordAnswers(NamedTuple):
    """One line of `answers.jsonl`: a record and its distinct answers; rows name them by their place."""

    key: RecordKey
    answers: tuple[ProbeAnswer, ...]


class _AnswerLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    probe: int
    model: str
    ask: dict[str, Any] | None
    text: str
    ids: list[int]
    target_ids: list[int]
    target_logprob: float | None
    top_ids: list[list[int]]
    finished: bool | None
    image: NotRequired[str]


class _RecordLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    case_id: str
    schedule: str
    edits_applied: int
    order_seed: int | None
    answers: list[_AnswerLine]


_ADAPTER = TypeAdapter(_RecordLine)
_DEFAULT = asdict(Ask())


def distinct(rows: Iterable[ScoreRow]) -> dict[ProbeAnswer, int]:
    """Return the answers that rows are scores of, each once, with its place."""
    found: dict[ProbeAnswer, int] = {}
    for row in rows:
        for answer in (row.before, row.after):
            if answer is not None and row.probe is not None:
                found.setdefault((row.probe, answer), len(found))
    return found


def answers_line(key: RecordKey, answers: Iterable[ProbeAnswer]) -> bytes:
    """Return a record's answers as a line."""
    return to_line(key._asdict() | {"answers": [_plain(probe, answer) for probe, answer in answers]})


def parse_answers(line: bytes) -> RecordAnswers:
    """Return what a line holds.

    Raises:
        ValueError: not JSON, or not the answers of a record.
        TypeError: it is not an object.
    """
    plain = validated(_ADAPTER.validate_python, json_object(line))
    key = RecordKey(plain["case_id"], plain["schedule"], plain["edits_applied"], plain["order_seed"])
    return RecordAnswers(key, tuple((each["probe"], _stored(each)) for each in plain["answers"]))


def _plain(probe: int, answer: StoredAnswer) -> dict[str, Any]:
    return {
        "probe": probe,
        "model": answer.model,
        "ask": None if answer.ask is None else _changed(answer.ask),
        "text": answer.text,
        "ids": answer.ids,
        "target_ids": answer.target_ids,
        "target_logprob": rounded(answer.target_logprob),
        "top_ids": answer.top_ids,
        "finished": answer.finished,
        **({} if answer.image is None else {"image": answer.image}),
    }


def _changed(ask: Ask) -> dict[str, Any]:
    """Return the fields in which a way to ask is not the usual one."""
    return {key: value for key, value in asdict(ask).items() if value != _DEFAULT[key]}


def _stored(plain: _AnswerLine) -> StoredAnswer:
    return StoredAnswer(
        text=plain["text"],
        ids=tuple(plain["ids"]),
        target_logprob=plain["target_logprob"],
        target_ids=tuple(plain["target_ids"]),
        top_ids=tuple(map(tuple, plain["top_ids"])),
        finished=plain["finished"],
        ask=None if plain["ask"] is None else _ask(plain["ask"]),
        model=plain["model"],
        image=plain.get("image"),
    )


def _ask(changed: dict[str, Any]) -> Ask:
    """Return a way to ask; fields of a later version, which this one cannot ask for, are passed over."""
    known = {field.name for field in fields(Ask)}
    return Ask(**{key: value for key, value in changed.items() if key in known})
