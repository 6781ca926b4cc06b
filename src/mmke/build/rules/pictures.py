"""Rules about pictures: what they show, that no two are one, and that their files are those that were collected."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from mmke.build.collect.licences import licence, why_refused
from mmke.build.collect.prints import near
from mmke.build.content import Picture
from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import Judged, Once
from mmke.digests import sha256


def make_one_thing() -> Rule:
    """The edited picture and the rephrase picture show one thing, and are two pictures."""
    reason = "Generality asks about another picture of the same thing; the same picture again measures nothing."
    return Judged("pictures-of-one-thing", reason, _two_things)


def make_locality() -> Rule:
    """The picture of the unrelated question is in no edit."""
    reason = "Locality asks about what no edit touches."
    return Judged("locality-picture-in-no-edit", reason, partial(_edited, Once(_in_edits)))


def make_side_by_side() -> Rule:
    """A picture side by side is made of a picture of the edited thing and one of another thing."""
    reason = "Portability of these kinds asks which of two things is the edited one."
    return Judged("side-by-side", reason, _other_halves)


def make_files() -> Rule:
    """The files of the pictures are those that were collected, and none of them was refused."""
    reason = "What is exported must be what was collected, seen and licensed."
    return Judged("picture-files", reason, _changed)


def _two_things(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    pictured = record.edit.draft.pictured
    for role in ("edit", "rephrase"):
        shown = record.pictures[role]
        if shown.thing != pictured.id:
            yield f"pictures.{role}", f"{shown.id} shows {shown.thing}, not {pictured.id}"
    one, other = record.pictures["edit"], record.pictures["rephrase"]
    if one.sha256 == other.sha256:
        yield "pictures.rephrase", f"{other.id} is the same file as {one.id}"
    elif near(one.prints, other.prints, scope.settings.collect.duplicate_distance):
        yield "pictures.rephrase", f"{other.id} is a near-duplicate of {one.id}"


class _InEdits(NamedTuple):
    """The digests of all edited pictures, and the ids of all edited things."""

    files: set[str]
    things: set[str]


def _in_edits(scope: Scope) -> _InEdits:
    edited = [each.pictures[role] for each in scope.records for role in ("edit", "rephrase")]
    subjects = {each.edit.draft.subject.id for each in scope.records}
    return _InEdits({each.sha256 for each in edited}, {each.thing for each in edited} | subjects)


def _edited(table: Once[_InEdits], record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    unrelated, edits = record.pictures["locality"], table.of(scope)
    if unrelated.sha256 in edits.files:
        yield "pictures.locality", f"{unrelated.id} is the picture of an edit"
    elif unrelated.thing in edits.things:
        yield "pictures.locality", f"{unrelated.id} shows {unrelated.thing}, which is edited"


def _other_halves(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    both, draft = record.asked.one_hop, record.edit.draft
    if both is None:
        return
    halves = [scope.pictures[half] for half in (both.left, both.right) if half in scope.pictures]
    own = {draft.edit_picture, draft.rephrase_picture}
    own |= {half.id for half in halves if half.thing == draft.pictured.id}
    sides = [question.plan.side for question in record.asked.questions if question.plan.side is not None]
    if not {both.left, both.right} & own:
        yield "pictures.one_hop", f"{both.id} holds no picture of the record"
        return
    side = "left" if both.left in own else "right"
    beside = both.right if side == "left" else both.left
    other = scope.pictures.get(beside)
    if any(each != side for each in sides):
        yield "pictures.one_hop", f"the edited thing stands on the {side}, and the question says otherwise"
    if other is None:
        yield "pictures.one_hop", f"its other half, {beside}, is no picture of the project"
    elif beside in own or other.thing in (draft.pictured.id, draft.subject.id):
        yield "pictures.one_hop", f"its other half, {beside}, shows the edited thing or the subject too"


def _changed(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    shown = {f"pictures.{role}": (each.id, each.sha256) for role, each in record.pictures.items()}
    if record.asked.one_hop is not None:
        shown["pictures.one_hop"] = (record.asked.one_hop.id, record.asked.one_hop.sha256)
    for place, (name, wanted) in shown.items():
        try:
            found = sha256(scope.folder / name)
        except OSError as error:
            yield place, f"{name} cannot be read ({error.strerror}); collect again"
            continue
        if found != wanted:
            yield place, f"{name} was changed since it was collected; put it back, or collect again"
    for picture in _used(record, scope):
        if picture.refused is not None:
            yield "pictures", f"{picture.id} is refused: {picture.refused}"
        elif why := why_refused(licence(picture.licence), scope.settings.collect.licences):
            yield "pictures", f"{picture.id}: {why}; collect and ask again, or allow it"


def _used(record: Record, scope: Scope) -> list[Picture]:
    """Return the pictures that are exported with a record, the halves of one side by side among them."""
    both = record.asked.one_hop
    halves = (
        [] if both is None else [scope.pictures[half] for half in (both.left, both.right) if half in scope.pictures]
    )
    return list({picture.id: picture for picture in (*record.pictures.values(), *halves)}.values())
