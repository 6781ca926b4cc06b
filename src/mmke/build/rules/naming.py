"""Rules about names: which texts name the subject, and which must leave that to the picture."""

import re
from collections.abc import Iterator

from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import Judged, named_in, relation_questions
from mmke.build.wording import says

_POINTS = re.compile(
    r"\b(?:in|of|on|from) (?:the|this) (?:image|picture|photo|photograph)\b"
    r"|\b(?:shown|pictured|depicted) (?:here|above|below)\b",
    re.IGNORECASE,
)


def make_unnamed() -> Rule:
    """Questions about a picture name neither the subject nor what the picture shows."""
    reason = "A question that names the thing can be answered without looking at the picture."
    return Judged("picture-question-unnamed", reason, _named)


def make_named() -> Rule:
    """Questions in text alone say whom they ask about, and point at no picture."""
    reason = "Without a picture, only the name says what is asked about."
    return Judged("text-question-named", reason, _unnamed)


def make_description() -> Rule:
    """The edited description is of the subject, and does not name what the picture showed before."""
    reason = "The edit binds the picture to the subject's name; the other name in the same text contradicts it."
    return Judged("description-names-subject", reason, _misnamed)


def _named(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    draft = record.edit.draft
    if draft.kind == "user":
        # "the guitar in the image" is how the thing is pointed at: what no model knows is whose it is.
        return
    about = {f"{each.plan.key}.question": each.text for each in record.asked.questions if _is_about(each.plan.picture)}
    for place, text in {"prompt": record.edit.texts.prompt, "rephrase": record.edit.texts.rephrase, **about}.items():
        for thing in dict.fromkeys((draft.subject, draft.pictured)):
            name = named_in(text, thing)
            if name is not None and not says(scope.words.type(thing.type).noun, name):
                yield place, f"it names {name!r}"


def _is_about(picture: str | None) -> bool:
    return picture in ("edit", "rephrase", "one_hop")


def _unnamed(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    draft = record.edit.draft
    for question in relation_questions(record):
        if question.plan.picture is not None:
            continue
        place = f"{question.plan.key}.question"
        if draft.kind == "user" and not says(question.text, draft.user or ""):
            yield place, f"it does not name {draft.user}, whose {draft.subject.name} it asks about"
        elif draft.kind != "user" and named_in(question.text, draft.subject) is None:
            yield place, f"it does not name {draft.subject.name!r}"
    for question in record.asked.questions:
        pointing = _POINTS.search(question.text)
        if question.plan.picture is None and pointing:
            yield f"{question.plan.key}.question", f"it points at a picture ({pointing.group()!r}) and has none"


def _misnamed(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    draft, target = record.edit.draft, record.edit.texts.target
    if draft.kind == "user":
        # Told in the second person, the prompt says who asks ("My name is Ruth Andersen. …").
        if not says(f"{record.edit.texts.prompt} {target}", draft.user or ""):
            yield "target", f"neither it nor the prompt names {draft.user}"
        return
    if named_in(target, draft.subject) is None:
        yield "target", f"it does not name {draft.subject.name!r}"
    other = named_in(target, draft.pictured)
    # A name can hold the other one ("Guinea" in "Papua New Guinea").
    if other is not None and not any(says(name, other) for name in (draft.subject.name, *draft.subject.aliases)):
        yield "target", f"it names {other!r}, which the picture showed before the edit"
