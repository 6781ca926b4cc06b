"""The things that an edit can be about, by their type, with their pictures."""

from dataclasses import dataclass

from mmke.build.collect.judge import PICTURES
from mmke.build.content import Kind, Thing
from mmke.build.project import Project
from mmke.counting import counted
from mmke.errors import UserError, did_you_mean

FACTS = {"entity": 2, "semantic": 1, "user": 0}


@dataclass(frozen=True, slots=True)
class Ready:
    """A thing and the ids of its pictures that are not refused, in order of preference."""

    thing: Thing
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Usable:
    """What a project can be made of.

    Attributes:
        types: the things that can be edited, by type and id.
        lenders: all things of these types, which can lend their values.
        refused: ids of things that cannot be edited, with the reason.
    """

    types: dict[str, dict[str, Ready]]
    lenders: dict[str, list[Thing]]
    refused: dict[str, str]


def usable(project: Project) -> Usable:
    """Return the things that can be edited.

    Raises:
        UserError: nothing was collected, or `types` names one that no thing is of.
    """
    things = [entry.content for entry in project.things]
    types = project.settings.types or tuple(dict.fromkeys(thing.type for thing in things))
    _check(project, things, types)
    pictures: dict[str, list[str]] = {}
    for picture in project.pictures:
        if picture.content.refused is None:
            pictures.setdefault(picture.content.thing, []).append(picture.id)
    found = Usable({name: {} for name in types}, {name: [] for name in types}, {})
    for thing in things:
        if thing.type not in found.types:
            continue
        found.lenders[thing.type].append(thing)
        own = tuple(pictures.get(thing.id, ()))
        why = _lacks(project.settings.kind, thing, len(own))
        if why is None:
            found.types[thing.type][thing.id] = Ready(thing, own)
        else:
            found.refused[thing.id] = why
    return found


def _check(project: Project, things: list[Thing], types: tuple[str, ...]) -> None:
    if not things:
        raise UserError(f"{project.folder}: nothing was collected; mmke build collect {project.folder} comes first")
    known = {thing.type for thing in things}
    for name in types:
        if name not in known:
            raise UserError(
                f"{project.folder}: types: no collected thing is of the type {name!r}{did_you_mean(name, known)}"
            )


def _lacks(kind: Kind, thing: Thing, pictures: int) -> str | None:
    if pictures < PICTURES[kind]:
        return f"{counted(pictures, 'usable picture')}, and kind {kind} needs {PICTURES[kind]}"
    if len(thing.facts) < FACTS[kind]:
        return f"{counted(len(thing.facts), 'fact')}, and kind {kind} needs {FACTS[kind]}"
    if kind == "semantic" and not thing.looks:
        return "it does not say how it looks, which kind semantic needs"
    return None
