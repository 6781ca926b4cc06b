"""`mmke build collect`: what a source has becomes `things.jsonl`, `pictures.jsonl` and `pictures/`.

Thing by thing, in the source's order: its pictures are read and judged, then files are written, then the pictures'
lines, and the thing's line last, so that a kill leaves nothing half. What a picture is by itself is taken from its line
where its inputs are unchanged. Which near-duplicate stays depends on all things before; that is decided anew each time,
from the prints in the lines. So a run that goes on after a kill, or after the source changed, decides as a fresh one.
"""

from pathlib import Path

from mmke import registry
from mmke.build.collect.judge import PICTURES, too_few, why_unfit
from mmke.build.collect.measure import Measured, measure, stem
from mmke.build.collect.prints import Known, require_imagehash
from mmke.build.content import Picture, Thing
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.protocols import FoundThing, Outcome, Shown, Source
from mmke.counting import counted
from mmke.errors import UnreachableError, UserError, did_you_mean

STAGE = "collect"
"""Lines of `pictures.jsonl` by this stage are this stage's to change; other stages add pictures of their own."""


def collect(project: Project, shown: Shown) -> Outcome:
    """Collect the things and pictures of the project's source.

    Raises:
        UserError: the source cannot be read, has no things, or none of a type that the settings name.
        UnreachableError: the source does not answer; what was collected is kept.
    """
    require_imagehash()
    name = project.settings.source
    source: Source = registry.factory("sources", name)(project)
    with registry.named("sources", name):
        ids = list(dict.fromkeys(source.list()))
        collection = _Collection(project, source)
        shown.stage(STAGE, len(ids))
        for id_ in ids:
            collection.take(id_)
            shown.step()
    return collection.finish()


class _Collection:
    """One run of the stage: what was taken so far."""

    def __init__(self, project: Project, source: Source) -> None:
        self._project, self._source = project, source
        self._by = {"stage": STAGE, **source.by}
        self._known = Known(project.settings.collect.duplicate_distance)
        self._pictures: dict[str, Picture] = {}
        self._named: dict[tuple[str, str], Thing] = {}
        self._types: set[str] = set()
        self._refused: dict[str, str] = {}
        self._made = self._kept = 0
        project.pictures_folder.mkdir(exist_ok=True)

    def take(self, id_: str) -> None:
        """Collect one thing, or refuse it."""
        try:
            found = self._source.find(id_)
        except UnreachableError:
            raise
        except UserError as error:
            self._refused[id_] = str(error)
            return
        self._types.add(found.thing.type)
        why = self._why_unfit(id_, found.thing)
        if why is not None:  # its pictures need not be asked for
            self._refused[id_] = why
            return
        taken, why = self._judged(self._measure(found))
        for each in taken:
            if each.picture.refused is not None:
                self._refused[each.picture.id] = f"{each.picture.origin}: {each.picture.refused}"
        if why is not None:
            self._refused[id_] = why
            taken = [each.refuse(f"{id_} is refused: {why}") for each in taken]
        self._put(found.thing, taken, usable=why is None)

    def finish(self) -> Outcome:
        """Take away what is no longer there, and tell what was done."""
        refused = {id_.rpartition("/")[0] for id_ in self._refused}
        unknown = [each for each in self._project.settings.types if each not in self._types | refused]
        pictures = self._project.pictures
        for entry in pictures:
            if entry.by.get("stage") == STAGE and entry.id not in self._pictures:
                self._file(entry.id).unlink(missing_ok=True)
        others = {entry.id for entry in pictures if entry.by.get("stage") != STAGE}
        pictures.keep_only(others | set(self._pictures))
        self._project.things.keep_only({thing.id for thing in self._named.values()})
        if unknown:
            known = ", ".join(sorted(self._types)) or "none"
            near = did_you_mean(unknown[0], self._types)
            raise UserError(
                f"{self._project.folder}: types names {unknown[0]!r}, of which the source {self._source.name} has "
                f"nothing{near or f' (it has: {known})'}"
            )
        # Things come first: where none is left, their reasons say more than those of single pictures.
        ordered = dict(sorted(self._refused.items(), key=lambda each: each[0] in self._pictures))
        if not self._named:
            if not ordered:
                raise UserError(f"{self._project.folder}: the source {self._source.name} has no things")
            return Outcome(0, 0, ordered)
        usable = sum(picture.refused is None for picture in self._pictures.values())
        note = f"{counted(len(self._named), 'thing')} with {counted(usable, 'picture')}"
        return Outcome(self._made, self._kept, ordered, (note,))

    def _measure(self, found: FoundThing) -> list[Measured]:
        measured: dict[str, Measured] = {}
        for picture in found.pictures:
            name = stem(found.thing.id, picture.origin)
            if name not in measured:  # a source may name one picture twice
                measured[name] = measure(self._project, found.thing.id, picture)
        return list(measured.values())

    def _why_unfit(self, id_: str, thing: Thing) -> str | None:
        """Return why a thing cannot be used, whatever its pictures are; None where it can."""
        if thing.id != id_:
            return f"the source calls it {thing.id!r}"
        # A question that names one of two things of one name would have two answers.
        other = self._named.get((thing.type, thing.name.casefold()))
        if other is not None:
            return f"{other.id} has the same name, {other.name!r}"
        return why_unfit(thing, self._project)

    def _judged(self, measured: list[Measured]) -> tuple[list[Measured], str | None]:
        """Return the pictures of a thing as they are taken, and why the thing is refused, if it is."""
        least = PICTURES[self._project.settings.kind]
        while True:
            taken = self._without_twins(measured)
            if sum(each.picture.refused is None for each in taken) < least:
                return taken, too_few([each.picture for each in taken], least)
            # Only now are files needed. One that was lost and cannot be read again makes another picture usable, maybe.
            usable = [each.picture.refused is None for each in taken]
            read = [
                each.at_hand(self._file(each.picture.id)) if use else each
                for each, use in zip(taken, usable, strict=True)
            ]
            if all(one.picture == other.picture for one, other in zip(read, taken, strict=True)):
                return read, None
            measured = [new if use else old for new, old, use in zip(read, measured, usable, strict=True)]

    def _without_twins(self, measured: list[Measured]) -> list[Measured]:
        """Refuse what is nearly the same as a picture of a thing before, or as one before it of the same thing."""
        own = Known(self._project.settings.collect.duplicate_distance)
        taken = []
        for each in measured:
            judged = each
            if each.picture.refused is None:
                twin = self._known.twin(each.picture.prints) or own.twin(each.picture.prints)
                if twin is None:
                    own.add(each.picture.id, each.picture.prints)
                else:
                    judged = each.refuse(f"near-duplicate of {twin}")
            taken.append(judged)
        return taken

    def _put(self, thing: Thing, taken: list[Measured], *, usable: bool) -> None:
        for each in taken:
            self._put_picture(each)
        if not usable:
            return
        shown = [each.picture for each in taken if each.picture.refused is None]
        for picture in shown:
            self._known.add(picture.id, picture.prints)
        self._named[thing.type, thing.name.casefold()] = thing
        inputs = digest_of(thing, [(picture.id, picture.sha256) for picture in shown], self._project.settings.kind)
        if self._project.things.has(thing.id, inputs):
            self._kept += 1
            return
        self._project.things.put(thing.id, thing, sources=(), by=self._by, inputs=inputs)
        self._made += 1

    def _put_picture(self, each: Measured) -> None:
        picture, file = each.picture, self._file(each.picture.id)
        self._pictures[picture.id] = picture
        if picture.refused is not None:
            file.unlink(missing_ok=True)
        else:
            each.write(file)
        entry = self._project.pictures.get(picture.id)
        if entry is not None and (entry.inputs, entry.content, entry.by) == (each.inputs, picture, self._by):
            self._kept += 1
            return
        self._project.pictures.put(picture.id, picture, sources=(picture.thing,), by=self._by, inputs=each.inputs)
        self._made += 1

    def _file(self, id_: str) -> Path:
        return self._project.pictures_folder / id_
