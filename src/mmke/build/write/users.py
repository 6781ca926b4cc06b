"""What a user tells of a thing: drawn from `user.toml`, which holds the ties, their facts, and the lists of values."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from mmke.build.content import Change, Thing
from mmke.build.draws import in_order
from mmke.build.user_words import PEOPLE, ToldFact, UserWords
from mmke.build.wording import says
from mmke.build.write.changes import FEWEST
from mmke.counting import counted
from mmke.errors import CannotWriteError, did_you_mean

FAVOURITE = "favourite"
"""What anything can be to a user."""


class Told(NamedTuple):
    """Who speaks, what the thing is to them, and what they tell of it."""

    user: str
    tie: str
    changes: tuple[Change, ...]


def draw_user(
    words: UserWords, thing: Thing, ties: Sequence[str], *, wanted: int, taken: Collection[str], key: tuple[object, ...]
) -> Told:
    """Return what a user tells of a thing.

    Args:
        words: the ties, their facts, and the lists of values.
        thing: that is theirs.
        ties: what a thing of its type may be to a user; empty: its type's own name where `user.toml` has it as a tie,
            else a favourite thing.
        wanted: how many facts are told, as far as the tie has so many.
        taken: names of users that other records have.
        key: what the draws depend on, besides the thing.

    Raises:
        CannotWriteError: an unknown tie, no name that is free, or fewer than two facts that can be told.
    """
    key = (*key, thing.id)
    tie = _tie(words, thing.type, ties, key)
    user = next((name for name in _people(words, *key, "user") if name not in taken), None)
    if user is None:
        raise CannotWriteError("every made-up name is the user's of another record")
    facts = words.ties[tie].facts
    changes: dict[str, Change] = {}
    for relation in in_order(facts, *key, "facts"):
        said = [thing.name, *thing.aliases, user, *(fact.value for fact in thing.facts)]
        said += [change.after for change in changes.values()]
        value = next((each for each in _values(words, facts[relation], *key, relation) if _new(each, said)), None)
        if value is not None and len(changes) < wanted:
            changes[relation] = Change(relation=relation, before=None, after=value)
    if len(changes) < FEWEST["user"]:
        raise CannotWriteError(f"only {counted(len(changes), 'fact')} of the tie {tie!r} can be told of it")
    return Told(user, tie, tuple(changes[relation] for relation in facts if relation in changes))


def _tie(words: UserWords, type_: str, ties: Sequence[str], key: tuple[object, ...]) -> str:
    possible = ties or ((type_,) if type_ in words.ties else (FAVOURITE,))
    chosen = in_order(possible, *key, "tie")[0]
    if chosen not in words.ties:
        raise CannotWriteError(f"its type has the unknown tie {chosen!r}{did_you_mean(chosen, words.ties)}")
    return chosen


def _people(words: UserWords, *key: object) -> Iterator[str]:
    names = [f"{given} {family}" for region in words.names for given in region.given for family in region.family]
    yield from in_order(names, *key)


def _values(words: UserWords, fact: ToldFact, *key: object) -> Iterator[str]:
    if isinstance(fact.values, tuple):
        first, last = fact.values
        yield from in_order(map(str, range(first, last + 1)), *key)
    elif fact.values == PEOPLE:
        yield from _people(words, *key)
    else:
        yield from in_order(words.lists[fact.values], *key)


def _new(value: str, said: Sequence[str]) -> bool:
    return not any(says(value, text) or says(text, value) for text in said)
