"""Rules about what the edit alters: consistent, new to both things, said in the description, and the old value gone."""

import re
from collections import Counter
from collections.abc import Iterator

from mmke.build.consistency import inconsistencies
from mmke.build.content import Draft
from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import Judged, names_of
from mmke.build.wording import says, words


def make_consistent() -> Rule:
    """Altered facts agree with each other: what must be earlier is, numbers are in their range."""
    reason = "A description that contradicts itself can be refused for that alone."
    return Judged("consistent-changes", reason, _inconsistent)


def make_untrue() -> Rule:
    """A new value is not true of the subject or of the pictured thing."""
    reason = "A value that was true before the edit is no new knowledge."
    return Judged("untrue-value", reason, _true)


def make_said() -> Rule:
    """The edited description says every new value."""
    return Judged("new-value-said", "What the description leaves out cannot be learned from it.", _unsaid)


def make_gone() -> Rule:
    """The edited description says none of the replaced values."""
    reason = "A replaced value that is left in the description tells the model the old fact beside the new one."
    return Judged("replaced-value-gone", reason, _left)


def _inconsistent(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    draft = record.edit.draft
    for relation, count in Counter(change.relation for change in draft.changes).items():
        if count > 1:
            yield "target", f"{relation} is altered {count} times"
    changed = {change.relation for change in draft.changes}
    for problem in inconsistencies(_after(draft), scope.words, changed=changed):
        yield "target", problem


def _after(draft: Draft) -> dict[str, str]:
    """Return the facts of the subject after the edit."""
    facts = {fact.relation: fact.value for fact in draft.subject.facts}
    return facts | {change.relation: change.after for change in draft.changes}


def _true(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    draft = record.edit.draft
    if draft.kind == "user":  # nothing is replaced: what the user tells may be true of many
        return
    for change in draft.changes:
        true = {thing.name: thing.value(change.relation) for thing in (draft.subject, draft.pictured)}
        of = [name for name, value in true.items() if value is not None and words(value) == words(change.after)]
        if of:
            yield "target", f"{change.relation} {change.after!r} is true of {' and of '.join(of)}"
        elif change.before is not None and (says(change.after, change.before) or says(change.before, change.after)):
            yield "target", f"{change.relation} {change.after!r} and the replaced {change.before!r} hold each other"


def _unsaid(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for change in record.edit.draft.changes:
        if not says(record.edit.texts.target, change.after):
            yield "target", f"it does not say {change.after!r}, the new {change.relation}"


def _left(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    draft = record.edit.draft
    # The replaced value can be part of the subject's name ("Kenya" of "Mount Kenya"), which stays.
    kept = [*names_of(draft.subject), *(change.after for change in draft.changes)]
    text = _without(record.edit.texts.target, kept)
    for change in draft.changes:
        if change.before is not None and says(text, change.before):
            yield "target", f"it still says {change.before!r}, the replaced {change.relation}"


def _without(text: str, phrases: list[str]) -> str:
    # A word that no text has stands in the place, so that the words around it do not become neighbours.
    for phrase in sorted(phrases, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(phrase)}(?!\w)", " qzq ", text, flags=re.IGNORECASE)
    return text
