"""Which things can be used, by what their source says of them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mmke.build.content import Fact, Kind, Picture, Thing
from mmke.build.project import Project
from mmke.build.wording import says

PICTURES: Mapping[Kind, int] = {"entity": 2, "semantic": 3, "user": 3}
"""Least number of pictures of a thing: one is edited, one is asked about again, and of semantic and user-specific
knowledge a third stands beside another thing."""

MEANING = "meaning"
"""The fact that an edit of semantic knowledge alters."""

MOST_WORDS = 5
"""Most words of a fact's value, and of an entity's name, which are answers to questions."""


def why_unfit(thing: Thing, project: Project) -> str | None:
    """Return why a thing cannot be used, whatever its pictures are; None where it can."""
    twice = [relation for relation, n in Counter(fact.relation for fact in thing.facts).items() if n > 1]
    if twice:
        return f"it has two facts {twice[0]!r}; state one"
    long = _too_long(thing.facts)
    if long is not None:
        return f"the fact {long.relation!r} is {long.value!r}, {len(long.value.split())} words; at most {MOST_WORDS}"
    count = len(thing.name.split())
    if project.settings.kind == "entity" and count > MOST_WORDS:
        return f"its name has {count} words; at most {MOST_WORDS}, as it is the answer to a question"
    least = project.settings.collect.facts
    if len(thing.facts) < least:
        return f"{_counted(len(thing.facts), 'fact')}, and [collect].facts asks for {least}"
    return _why_no_sign(thing) if project.settings.kind == "semantic" else None


def _why_no_sign(thing: Thing) -> str | None:
    """Return what a thing lacks for semantic knowledge; None where it lacks nothing."""
    if not thing.looks:
        return "it has no `looks`, a sentence on how it looks, which semantic knowledge needs"
    name = next((name for name in (thing.name, *thing.aliases) if says(thing.looks, name)), None)
    if name is not None:
        return f"its `looks` ({thing.looks!r}) holds its name, {name!r}; say how it looks without it"
    if thing.value(MEANING) is None:
        return f"it has no fact {MEANING!r}, which semantic knowledge needs"
    return None


def too_few(pictures: Sequence[Picture], least: int) -> str:
    """Return that a thing has too few pictures that can be used, with why the first of the others cannot."""
    refused = [picture for picture in pictures if picture.refused is not None]
    usable = len(pictures) - len(refused)
    first = f" ({refused[0].origin}: {refused[0].refused})" if refused else ""
    return f"{_counted(usable, 'picture')} of {len(pictures)} can be used, {least} are needed{first}"


def _too_long(facts: Sequence[Fact]) -> Fact | None:
    for fact in facts:
        if not 1 <= len(fact.value.split()) <= MOST_WORDS:
            return fact
        if (further := _too_long(fact.further)) is not None:
            return further
    return None


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
