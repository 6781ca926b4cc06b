"""Edits in words: the question about the picture, a paraphrase, the true and the edited description."""

from collections.abc import Iterator, Sequence
from random import Random

from mmke.build.content import Draft, Thing
from mmke.build.wording import says, words
from mmke.build.words import Words
from mmke.build.writers.templates.sentences import FAR, distance, intro, named, run_together, stated, stated_again
from mmke.counting import counted
from mmke.errors import CannotWriteError

Told = Sequence[tuple[str, str]]
"""Relations and values, in the order in which they are told."""


def description(grammar: Words, thing: Thing, told: Told, *, looks: str, rng: Random) -> str:
    """Return sentences that name a thing, say how it looks where that is known, and tell facts of it.

    Facts are told in the order in which the thing has them, but so that "it" and "its" can mean nothing else.
    """
    place = {fact.relation: n for n, fact in enumerate(thing.facts)}
    told = sorted(told, key=lambda fact: (_distance(grammar, thing, fact[0]), place.get(fact[0], len(place))))
    facts = list(_sentences(grammar, thing, told, name_it=bool(rng.getrandbits(1)) and not looks))
    type_ = grammar.type(thing.type)
    sentences = [intro(type_, thing.name, rng), *([looks] if looks else [])]
    return " ".join([*sentences, *run_together(facts, [value for _, value in told], rng, noun=type_.noun)])


def edited_description(grammar: Words, draft: Draft, rng: Random, *, bounds: tuple[int, int]) -> str:
    """Return the description that names the subject and holds the new values.

    Where the altered facts alone make fewer words than `bounds` asks for, true facts of the subject that fit are told
    too.

    Raises:
        CannotWriteError: a word of the grammar itself says what must not be said.
    """
    told = [(change.relation, change.after) for change in draft.changes]
    looks = draft.pictured.looks if draft.kind == "semantic" else ""
    state, text = rng.getstate(), ""
    for more in _more(draft):
        rng.setstate(state)
        text = description(grammar, draft.subject, [*told, *more], looks=looks, rng=rng)
        if len(words(text)) >= bounds[0]:
            break
    _check(draft, text)
    return text


def check_length(text: str, bounds: tuple[int, int]) -> None:
    """Hold a description against the least and the most words.

    Raises:
        CannotWriteError: it has fewer or more.
    """
    count = len(words(text))
    if not bounds[0] <= count <= bounds[1]:
        raise CannotWriteError(
            f"the description has {counted(count, 'word')}, and [write] words asks for {bounds[0]} to {bounds[1]}"
        )


def _sentences(grammar: Words, thing: Thing, told: Told, *, name_it: bool) -> Iterator[str]:
    type_ = grammar.type(thing.type)
    for fact in told:
        how = grammar.relation(fact[0])
        yield stated(how, fact[1], named(type_, thing.name)) if name_it else stated_again(type_, how, fact[1])
        name_it = _distance(grammar, thing, fact[0]) == FAR


def _distance(grammar: Words, thing: Thing, relation: str) -> int:
    """Return how far a fact's sentence leads away from the thing; far, too, where its value is a thing like it.

    After "Its largest neighbour is Chad." one could take "its capital" for that of Chad.
    """
    known = {fact.relation for fact in thing.facts}
    further = {inner.relation for fact in thing.facts if fact.relation == relation for inner in fact.further}
    return FAR if known & further else distance(grammar.relation(relation))


def _more(draft: Draft) -> Iterator[Told]:
    """Yield true facts of the subject that can be told besides: none, one, two, …."""
    altered = {change.relation for change in draft.changes}
    replaced = [str(change.before) for change in draft.changes]
    fitting = [
        (fact.relation, fact.value)
        for fact in draft.subject.facts
        if fact.relation not in altered and not any(says(fact.value, value) for value in replaced)
    ]
    for n in range(len(fitting) + 1):
        yield fitting[:n]


def _check(draft: Draft, text: str) -> None:
    """Hold a description against what the edit promises of it."""
    forbidden = [(change.before, "the replaced value") for change in draft.changes]
    if draft.pictured.id != draft.subject.id:
        forbidden.append((draft.pictured.name, "the name of what is pictured"))
    for phrase, what in forbidden:
        if phrase is not None and says(text, phrase):
            raise CannotWriteError(f"the description would say {what}, {phrase!r}: {text}")
    missing = [change.after for change in draft.changes if not says(text, change.after)]
    if missing:
        raise CannotWriteError(f"the description does not say the new value {missing[0]!r}: {text}")
