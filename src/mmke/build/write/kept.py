"""The drafts that are there already and still hold."""

from collections.abc import Mapping

from mmke.build.content import Change, Draft, Thing
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.write.usable import Usable


def kept_drafts(project: Project, found: Usable) -> list[Draft]:
    """Return the drafts of `edits.jsonl` that would still be drawn from things that are as they were, in its order.

    Settings that the draw depends on (`drawn_with`) must be the same, the two things unchanged and usable with the
    pictures that the draft shows, and the values still those of the things that lend them.
    """
    lenders = {thing.id: thing for things in found.lenders.values() for thing in things}
    drawn = drawn_with(project)
    held = [
        entry.content.draft
        for entry in project.edits
        if all(entry.by.get(key) == value for key, value in drawn.items())
        and _holds(entry.content.draft, found)
        and all(_lent(change, lenders) for change in entry.content.draft.changes)
    ]
    return held[: project.settings.count]


def drawn_with(project: Project) -> Mapping[str, str]:
    """Return what a draw depends on besides the things, as the log says it of every edit."""
    settings = project.settings
    drawn = {"kind": settings.kind, "seed": str(settings.seed), "changes": str(settings.write.changes)}
    return drawn | ({"user_words": digest_of(settings.user_words)} if settings.user_words else {})


def _holds(draft: Draft, found: Usable) -> bool:
    subject, pictured = (found.types.get(thing.type, {}).get(thing.id) for thing in (draft.subject, draft.pictured))
    return (
        subject is not None
        and pictured is not None
        and subject.thing == draft.subject
        and pictured.thing == draft.pictured
        and {draft.edit_picture, draft.rephrase_picture} <= set(pictured.pictures)
        and (draft.subject_picture is None or draft.subject_picture in subject.pictures)
    )


def _lent(change: Change, lenders: Mapping[str, Thing]) -> bool:
    if change.taken_from is None:
        return True
    lender = lenders.get(change.taken_from)
    facts = () if lender is None else lender.facts
    return any(
        (fact.relation, fact.value, fact.further) == (change.relation, change.after, change.further) for fact in facts
    )
