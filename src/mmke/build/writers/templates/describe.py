"""Edits in words: the question about the picture, a paraphrase, the true and the edited description."""

from collections.abc import Iterator, Sequence
from random import Random

from mmke.build.content import Draft, Thing
from mmke.build.wording import says, words
from mmke.build.words import Words
from mmke.build.writers.templates.sentences import intro, keeps_topic, named, run_together, stated, stated_again
from mmke.errors import CannotWriteError

Told = Sequence[tuple[str, str]]
"""Relations and values, in the order in which they are told."""


def description(grammar: Words, thing: Thing, told: Told, *, looks: str, rng: Random) -> str:
    """Return sentences that name a thing, say how it looks where that is known, and tell facts of it."""
    type_ = grammar.type(thing.type)
    sentences = [intro(type_, thing.name, rng), *([looks] if looks else [])]
    told = sorted(told, key=lambda fact: not keeps_topic(grammar.relation(fact[0])))
    facts = list(_sentences(grammar, thing, told, named_again=bool(rng.getrandbits(1)) and not looks))
    return " ".join([*sentences, *run_together(facts, [value for _, value in told], rng)])


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
            f"the description has {count} words, and [write] words asks for {bounds[0]} to {bounds[1]}"
        )


def _sentences(grammar: Words, thing: Thing, told: Told, *, named_again: bool) -> Iterator[str]:
    type_, name_it = grammar.type(thing.type), named_again
    for relation, value in told:
        how = grammar.relation(relation)
        yield stated(how, value, named(type_, thing.name)) if name_it else stated_again(type_, how, value)
        name_it = not keeps_topic(how)


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
