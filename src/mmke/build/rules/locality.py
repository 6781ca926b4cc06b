"""The rule about unrelated questions."""

from collections.abc import Iterator, Mapping
from functools import partial

from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import LOCALITY, Judged, Once, named_in, names_of
from mmke.build.wording import plain_words, says, words


def make_untouched() -> Rule:
    """An unrelated question does not speak of anything that is edited or of an altered value."""
    reason = "Locality must not change by an edit, its own or another of a stream, so that it may not be about one."
    return Judged("locality-untouched", reason, partial(_touched, Once(_edited)))


def _edited(scope: Scope) -> Mapping[str, list[tuple[str, str]]]:
    """Return the names of all edited things, each with a record that edits it, by their first word."""
    found: dict[str, list[tuple[str, str]]] = {}
    for record in scope.records:
        for name in names_of(record.edit.draft.subject):
            for word in plain_words(name)[:1]:
                found.setdefault(word, []).append((name, record.id))
    return found


def _touched(
    table: Once[Mapping[str, list[tuple[str, str]]]], record: Record, scope: Scope
) -> Iterator[tuple[str, str]]:
    draft = record.edit.draft
    values = {value for change in draft.changes for value in (change.before, change.after) if value}
    for question in record.asked.questions:
        if question.plan.key not in LOCALITY:
            continue
        name = next(
            (found for thing in (draft.subject, draft.pictured) if (found := named_in(question.text, thing))), None
        )
        if name is not None:
            yield f"{question.plan.key}.question", f"it names {name!r}, which is edited"
        elif draft.user is not None and says(question.text, draft.user):
            yield f"{question.plan.key}.question", f"it names {draft.user!r}"
        elif other := _of_another(table.of(scope), question.text, record.id):
            yield f"{question.plan.key}.question", "it names {!r}, which {} edits".format(*other)
        answer = words(question.plan.answer)
        if any(words(value) == answer for value in (*values, draft.subject.name, draft.pictured.name)):
            yield f"{question.plan.key}.answer", f"{question.plan.answer!r} is a name or value of the edit"


def _of_another(edited: Mapping[str, list[tuple[str, str]]], text: str, record: str) -> tuple[str, str] | None:
    """Return a name that a text says and the record that edits what it names."""
    named = (each for word in dict.fromkeys(words(text)) for each in edited.get(word, ()))
    return next((each for each in named if each[1] != record and says(text, each[0])), None)
