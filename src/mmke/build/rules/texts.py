"""Rules about every text: there, of a sensible length, and holding nothing that belongs to somebody."""

import re
from collections.abc import Iterator, Mapping

from mmke.build.content import Kind, PictureRole, QuestionKey
from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import Judged
from mmke.counting import counted

SHORTEST, LONGEST = 2, 40
"""Words of a prompt or question."""

_TWO: tuple[QuestionKey, ...] = ("t_rel_1", "t_rel_2", "i_rel_1", "i_rel_2", "port", "t_loc", "i_loc")
KEYS: Mapping[Kind, tuple[QuestionKey, ...]] = {
    "entity": _TWO,
    "semantic": ("t_rel", "i_rel", "i_gen", "port", "t_loc", "i_loc"),
    "user": _TWO,
}
"""The questions that a record of each kind has."""

_PRIVATE: Mapping[str, re.Pattern[str]] = {
    "an address of mail": re.compile(r"[\w.+-]+@[\w-]+\.\w[\w.-]*"),
    "an address of the web": re.compile(
        r"\b(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|org|net|io|edu|gov|info)\b", re.IGNORECASE
    ),
    "an address in a network": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    "a phone number": re.compile(r"(?<![\w.,])(?:\+\d|\(0|0\d)[\d ()/.-]{6,}\d|\b\d{3}[-.]\d{3}[-.]\d{4}\b"),
    "a postal address": re.compile(r"\b\d{1,5}[a-z]? (?:[A-Z]\w+ ){1,2}(?:Street|Avenue|Road|Lane|Drive|Boulevard)\b"),
    "a key": re.compile(
        r"\b(?:sk|pk|hf|gh[opsu]|xox[abp]|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,}|-----BEGIN|\b[0-9a-fA-F]{32,}\b"
        r"|\b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w{24,}\b"
    ),
}


def make_complete() -> Rule:
    """A record has every text and every question of its kind, each about the right picture."""
    return Judged("complete", "The published format has a place for each, and none may be empty.", _incomplete)


def make_length() -> Rule:
    """The description is as long as the settings ask for, questions have 2 to 40 words."""
    reason = "A description of very few or very many words is an edit of another difficulty than the others."
    return Judged("length", reason, _too_long)


def make_private() -> Rule:
    """No text holds what looks like a key, an address or a phone number."""
    reason = "A benchmark is published, and made-up numbers and addresses can be somebody's."
    return Judged("private-data", reason, _private)


def _incomplete(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    kind, asked = record.edit.draft.kind, record.asked.questions
    keys = [question.plan.key for question in asked]
    for key in KEYS[kind]:
        if keys.count(key) != 1:
            yield f"{key}.question", f"the record has {keys.count(key)} of it; {kind} has one"
    for name, text in record.texts.items():
        if not text.strip():
            yield name, "it is empty"
    wanted = _pictures(kind)
    for question in asked:
        key, picture = question.plan.key, question.plan.picture
        if key not in wanted:
            yield f"{key}.question", f"{kind} has no such question"
        elif picture != wanted[key]:
            yield f"{key}.question", f"it is asked about {picture or 'no'} picture, not {wanted[key] or 'none'}"
    answers = {question.plan.key: question.plan.answer for question in asked}
    if "i_gen" in answers and answers["i_gen"] != answers.get("i_rel"):
        yield "i_gen.answer", f"it is {answers['i_gen']!r}, and must be that of i_rel: the format has one for both"
    if (record.asked.one_hop is not None) != (kind != "entity"):
        yield "pictures.one_hop", "only semantic and user-specific records have a picture side by side, and all of them"


def _pictures(kind: Kind) -> dict[QuestionKey, PictureRole | None]:
    """Return which picture each question of a kind is asked about."""
    shown: dict[QuestionKey, PictureRole | None] = dict.fromkeys(KEYS[kind])
    shown |= {key: "edit" for key in shown if key.startswith("i_rel")}
    port: PictureRole = "edit" if kind == "entity" else "one_hop"
    return shown | {"port": port, "i_loc": "locality"} | ({"i_gen": "rephrase"} if "i_gen" in shown else {})


def _too_long(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    least, most = scope.settings.write.words
    for name, text in record.texts.items():
        count = len(text.split())
        low, high = (least, most) if name in ("target", "original") else (SHORTEST, LONGEST)
        if name == "original":  # the true description is only shown, and may be a short one
            low = SHORTEST
        if not name.endswith(".answer") and text.strip() and not low <= count <= high:
            yield name, f"it has {counted(count, 'word')}, not {low} to {high}"


def _private(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for name, text in record.texts.items():
        for what, pattern in _PRIVATE.items():
            found = pattern.search(text)
            if found is not None:
                yield name, f"{found.group()!r} looks like {what}"
                break
