"""Unrelated facts and pictures, and things to stand beside an edited one, from wherever the settings say.

A record gets none that has to do with it: not of its things or of their type, no answer that its description says; and
none that has to do with another edit: no fact that names an edited thing, and no picture of one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmke.build.collect.licences import licence, why_refused
from mmke.build.collect.measure import stem
from mmke.build.content import Edit, Picture, Thing
from mmke.build.pools import UnrelatedFact, companions, unrelated_facts, unrelated_pictures
from mmke.build.project import Project
from mmke.build.protocols import FoundPicture
from mmke.build.rules.judged import names_of
from mmke.build.wording import plain_words, says, with_article, words
from mmke.errors import UserError

SHIPPED, OWN = "mini", "own"
UNRELATED = "unrelated"
"""In the place of a type in the id of a thing that is none of the project's."""


@dataclass(frozen=True, slots=True)
class Other:
    """Something else in a picture.

    Attributes:
        name: of what it shows.
        type: its type, as a source would give it.
        question: what is asked about it; empty of what stands beside an edited thing.
        answer: what the question is answered by, or what it is called where it stands beside: "a lemon".
        picture: in the project already, or still to be copied.
    """

    name: str
    type: str
    question: str
    answer: str
    picture: Picture | FoundPicture

    @property
    def thing(self) -> str:
        """Return the id of what it shows, as `Picture.thing` has it."""
        return self.picture.thing if isinstance(self.picture, Picture) else f"{UNRELATED}/{self.name}"

    @property
    def id(self) -> str:
        """Return the name of the picture's file without the end, known before the picture is read."""
        if isinstance(self.picture, Picture):
            return without_end(self.picture.id)
        return stem(self.thing, self.picture.origin)


@dataclass(frozen=True, slots=True)
class Pools:
    """What can be chosen, by its id: facts by their question, pictures by the name of the file without its end."""

    facts: Mapping[str, UnrelatedFact]
    pictures: Mapping[str, Other]
    beside: Mapping[str, Other]


def without_end(file: str) -> str:
    """Return a file's name without ".png" or ".jpg"."""
    return file.rpartition(".")[0]


def read_pools(project: Project) -> Pools:
    """Return what the settings name.

    Raises:
        UserError: they name something else, or a file that is missing or broken.
    """
    facts = {fact.question: fact for fact in unrelated_facts(project)}
    allowed = project.settings.collect.licences
    where = project.settings.ask.pictures
    if where == OWN:
        pictures, beside = list(_own(project, asked=True)), list(_own(project, asked=False))
    elif where == SHIPPED:
        shown, standing = unrelated_pictures(), companions()
        pictures = [Other(each.name, each.type, each.question, each.answer, each.picture) for each in shown]
        beside = [Other(each.name, each.type, "", each.answer, each.picture) for each in standing]
    else:
        raise UserError(f'{project.folder}: [ask] pictures = {where!r}; known: "{SHIPPED}" and "{OWN}"')
    pictures, beside = ([each for each in pool if _may_be_shared(each, allowed)] for pool in (pictures, beside))
    return Pools(facts, {each.id: each for each in pictures}, {each.id: each for each in beside})


def _may_be_shared(other: Other, allowed: Sequence[str]) -> bool:
    # The project's own pictures were judged when they were collected.
    return isinstance(other.picture, Picture) or why_refused(licence(other.picture.licence), allowed) is None


def _own(project: Project, *, asked: bool) -> Iterator[Other]:
    """Yield the project's pictures of things that no edit is about."""
    edited = {thing.id for edit in project.edits for thing in (edit.content.draft.subject, edit.content.draft.pictured)}
    for entry in project.pictures:
        found = project.things.get(entry.content.thing)
        if found is None or found.id in edited or entry.content.refused is not None:
            continue
        thing, type_ = found.content, project.words.type(found.content.type)
        one_of_many = type_.named == "the {name}" and thing.name[:1].islower()
        answer = with_article(thing.name) if one_of_many and not asked else thing.name
        yield Other(thing.name, thing.type, type_.identity if asked else "", answer, entry.content)


def by_first_word(names: Iterable[str]) -> dict[str, list[str]]:
    """Return names by their first word, so that a text need not be searched for each of them."""
    found: dict[str, list[str]] = {}
    for name in names:
        for word in plain_words(name)[:1]:
            found.setdefault(word, []).append(name)
    return found


def names_by_type(project: Project) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return for each type the names that its unrelated facts may not say, by their first word.

    They are those of all things of the type, and of whatever any record edits.
    """
    drafts = [entry.content.draft for entry in project.edits]
    edited = [name for draft in drafts for thing in (draft.subject, draft.pictured) for name in names_of(thing)]
    names: dict[str, list[str]] = {}
    for entry in project.things:
        names.setdefault(entry.content.type, list(edited)).append(entry.content.name)
    return {type_: by_first_word(dict.fromkeys(found)) for type_, found in names.items()}


def fact_fits(edit: Edit, names: Mapping[str, Sequence[str]]) -> Callable[[UnrelatedFact], bool]:
    """Return a test whether a fact has nothing to do with a record.

    Args:
        edit: of the record.
        names: that it may not say, by their first word; see `names_by_type`.
    """
    relations = {fact.relation.replace("_", " ") for fact in edit.draft.subject.facts}
    touched = {*_names(edit), *relations, edit.draft.subject.type}

    def fits(fact: UnrelatedFact) -> bool:
        text = f"{fact.question} {fact.answer}"
        if says(fact.question, fact.answer):  # it measures reading
            return False
        named = [name for word in set(words(text)) for name in names.get(word, ())]
        return not says(edit.texts.target, fact.answer) and not any(says(text, each) for each in (*touched, *named))

    return fits


def other_fits(edit: Edit, edited: Iterable[Thing]) -> Callable[[Other], bool]:
    """Return a test whether something else in a picture has nothing to do with a record.

    Args:
        edit: of the record.
        edited: the things of all edits, which no unrelated picture may show.
    """
    draft = edit.draft
    shown = {name.casefold() for thing in edited for name in (thing.name, *thing.aliases)}
    texts = (edit.texts.target, edit.texts.original, *_names(edit))

    def fits(other: Other) -> bool:
        return (
            other.type not in (draft.subject.type, draft.pictured.type)
            and other.name.casefold() not in shown
            and not any(says(text, other.answer) for text in texts)
            and not any(says(f"{other.question} {other.answer}", name) for name in _names(edit))
        )

    return fits


def _names(edit: Edit) -> set[str]:
    things = (edit.draft.subject, edit.draft.pictured)
    return {name for thing in things for name in (thing.name, *thing.aliases)} | {
        edit.draft.user or edit.draft.subject.name
    }
