"""The rule about unrelated questions."""

from collections.abc import Iterator

from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import LOCALITY, Judged, named_in
from mmke.build.wording import says, words


def make_untouched() -> Rule:
    """An unrelated question does not speak of the edited thing or of an altered value."""
    reason = "Locality must not change by the edit, so that its answer may not be one that the edit changes."
    return Judged("locality-untouched", reason, _touched)


def _touched(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
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
        answer = words(question.plan.answer)
        if any(words(value) == answer for value in (*values, draft.subject.name, draft.pictured.name)):
            yield f"{question.plan.key}.answer", f"{question.plan.answer!r} is a name or value of the edit"
