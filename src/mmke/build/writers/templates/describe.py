"""Edits in words: the question about the picture, a paraphrase, the true and the edited description."""

from collections.abc import Iterator, Sequence
from random import Random

from mmke.build.content import Draft, Thing
from mmke.build.wording import says, words
from mmke.build.words import Words
from mmke.build.writers.templates.sentences import intro, joined, named, stated, stated_again
from mmke.errors import CannotWriteError

Told = Sequence[tuple[str, str]]
"""Relations and values, in the order in which they are told."""


def description(grammar: Words, thing: Thing, told: Told, *, looks: str, rng: Random) -> str:
    """Return sentences that name a thing, say how it looks where that is known, and tell facts of it."""
    type_ = grammar.type(thing.type)
    sentences = [intro(type_, thing.name, rng), *([looks] if looks else [])]
    facts = list(_sentences(grammar, thing, told, named_again=bool(rng.getrandbits(1)) and not looks))
    if len(facts) > 2:
        # Two of several facts share a sentence, so that they do not read like a list.
        n = rng.randrange(1, len(facts) - 1) if len(facts) > 2 else 1
        facts[n : n + 2] = [joined(facts[n], facts[n + 1], told[n + 1][1])]
    elif len(facts) == 2 and rng.getrandbits(1):
        facts = [joined(*facts, told[1][1])]
    return " ".join([*sentences, *facts])


def edited_description(grammar: Words, draft: Draft, bounds: tuple[int, int], rng: Random) -> str:
    """Return the description that names the subject and holds the new values, with as many words as `bounds` asks for.

    Where the altered facts alone are too short, true facts of the subject that fit are told too; where they are too
    long, the looks are left out.

    Raises:
        CannotWriteError: the length cannot be kept, or a word of the grammar itself says what must not be said.
    """
    told = [(change.relation, change.after) for change in draft.changes]
    looks = draft.pictured.looks if draft.kind == "semantic" else ""
    state = rng.getstate()
    for more in _more(grammar, draft):
        rng.setstate(state)
        text = description(grammar, draft.subject, [*told, *more], looks=looks, rng=rng)
        if len(words(text)) >= bounds[0]:
            break
    if not bounds[0] <= len(words(text)) <= bounds[1]:
        raise CannotWriteError(
            f"the description has {len(words(text))} words, and [write] words asks for {bounds[0]} to {bounds[1]}"
        )
    _check(draft, text)
    return text


def _sentences(grammar: Words, thing: Thing, told: Told, *, named_again: bool) -> Iterator[str]:
    type_ = grammar.type(thing.type)
    for n, (relation, value) in enumerate(told):
        if n == 0 and named_again:
            yield stated(grammar.relation(relation), value, named(type_, thing.name))
        else:
            yield stated_again(type_, grammar.relation(relation), value)


def _more(grammar: Words, draft: Draft) -> Iterator[Told]:
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
