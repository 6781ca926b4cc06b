"""The drafts of a project: what is edited in each record. Nothing is written here; a writer puts them into words.

A draft that is there stays as long as its things and facts do: a thing more changes no record that people may have
looked at. The types take turns, the one with the fewest records first, until there are as many as wanted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mmke.build.content import Draft
from mmke.build.draws import in_order
from mmke.build.project import Project
from mmke.build.write.changes import FEWEST, Exchange, draw_changes
from mmke.build.write.groups import Groups, Link, groups
from mmke.build.write.kept import kept_drafts
from mmke.build.write.usable import Ready, Usable, usable
from mmke.build.write.users import draw_user
from mmke.errors import CannotWriteError, UserError


@dataclass(frozen=True, slots=True)
class Planned:
    """The drafts in their order, the ids of things that no record comes of with the reason, and remarks."""

    drafts: tuple[Draft, ...]
    refused: dict[str, str]
    notes: tuple[str, ...]


def plan_drafts(project: Project) -> Planned:
    """Return what is to be edited.

    Raises:
        UserError: nothing was collected, `types` names one that no thing is of, or `changes` is too small.
    """
    settings, found = project.settings, usable(project)
    if settings.write.changes < FEWEST[settings.kind]:
        raise UserError(
            f"{project.folder}: [write] changes = {settings.write.changes}: kind {settings.kind} asks about "
            f"{FEWEST[settings.kind]} altered facts; raise it"
        )
    drafts = kept_drafts(project, found)
    queue, drawer = _Queue(project, found, drafts), _Drawer(project, found, drafts)
    refused = {**found.refused, **queue.alone}
    for link in queue:
        if len(drafts) >= project.settings.count:
            break
        try:
            draft = drawer.draw(link)
        except CannotWriteError as error:
            refused[link.subject] = str(error)
        else:
            drafts.append(draft)
            queue.counts[draft.subject.type] += 1
    return Planned(tuple(drafts), refused, _notes(project, found, len(drafts), refused))


class _Queue:
    """The links that have no draft yet: those of groups that were begun, then the type with the fewest drafts."""

    def __init__(self, project: Project, found: Usable, kept: list[Draft]) -> None:
        key = (project.settings.seed, project.settings.kind)
        self._names = in_order(found.types, *key)
        self.counts = {name: sum(draft.subject.type == name for draft in kept) for name in self._names}
        self._groups: dict[str, Groups] = {}
        for name in self._names:
            links = {draft.subject.id: draft.pictured.id for draft in kept if draft.subject.type == name}
            if project.settings.kind == "user":
                free = in_order((id_ for id_ in found.types[name] if id_ not in links), *key, name)
                self._groups[name] = Groups([], [[Link(id_, id_)] for id_ in free], None)
            else:
                self._groups[name] = groups(found.types[name], links, *key, name)

    @property
    def alone(self) -> dict[str, str]:
        """Return the ids of things that have no partner, with the reason."""
        return {
            group.alone: f"no other thing of the type {name} is left for it to exchange pictures with"
            for name, group in self._groups.items()
            if group.alone is not None
        }

    def __iter__(self) -> Iterator[Link]:
        """Yield links; `counts` must be kept up to date meanwhile."""
        for group in self._groups.values():
            yield from group.begun
        fresh = {name: list(group.fresh) for name, group in self._groups.items()}
        while any(fresh.values()):
            name = min((name for name in self._names if fresh[name]), key=self.counts.__getitem__)
            yield from fresh[name].pop(0)


class _Drawer:
    """Makes the drafts, one link after the other."""

    def __init__(self, project: Project, found: Usable, kept: list[Draft]) -> None:
        self._project, self._found = project, found
        self._things = {id_: ready for of_type in found.types.values() for id_, ready in of_type.items()}
        self._users = {draft.user for draft in kept if draft.user is not None}

    def draw(self, link: Link) -> Draft:
        """Return the draft of a link.

        Raises:
            CannotWriteError: its facts cannot be altered; the message is the reason.
        """
        settings = self._project.settings
        subject, pictured = self._things[link.subject], self._things[link.pictured]
        draft, key = _of_things(self._project, subject, pictured), (settings.seed, settings.kind)
        words, wanted, type_ = self._project.words, settings.write.changes, subject.thing.type
        if settings.kind == "user":
            ties = words.type(type_).ties
            told = draw_user(self._project.user_words, subject.thing, ties, wanted=wanted, taken=self._users, key=key)
            self._users.add(told.user)
            return draft.model_copy(update=told._asdict())
        lenders = self._found.lenders[type_]
        exchange = Exchange(settings.kind, subject.thing, pictured.thing, lenders, words, key)
        return draft.model_copy(update={"changes": draw_changes(exchange, wanted)})


def _of_things(project: Project, subject: Ready, pictured: Ready) -> Draft:
    """Return a draft without changes."""
    return Draft(
        id=f"{project.settings.kind}/{subject.thing.id}",
        kind=project.settings.kind,
        subject=subject.thing,
        pictured=pictured.thing,
        changes=(),
        edit_picture=pictured.pictures[0],
        rephrase_picture=pictured.pictures[1],
        subject_picture=None if subject.thing.id == pictured.thing.id else subject.pictures[0],
    )


def _notes(project: Project, found: Usable, made: int, refused: dict[str, str]) -> tuple[str, ...]:
    wanted, things = project.settings.count, sum(map(len, found.lenders.values()))
    if made >= wanted:
        return ()
    why = "; ".join(f"{count} x {reason}" for reason, count in Counter(refused.values()).most_common(3))
    told = f"{made} of the {wanted} records that `count` asks for can be made of the {things} things"
    return (f"{told}: {why}" if why else f"{told}; collect more",)
