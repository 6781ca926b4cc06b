"""Which facts an edit alters, and the new values: each is another thing's of the same type.

A new value is never true of the subject or of what is pictured, in whichever relation; no two of them say each other;
with the facts that stay they are consistent (`consistency`). One of them can be asked one hop further (entities), or it
is the meaning (semantic knowledge).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmke.build.collect.judge import MEANING, MOST_WORDS
from mmke.build.consistency import inconsistencies
from mmke.build.content import Change, Fact, Kind, Thing
from mmke.build.draws import in_order
from mmke.build.wording import plain_words, says, words
from mmke.build.words import Words
from mmke.build.write.portability import hops
from mmke.errors import CannotWriteError

FEWEST: Mapping[Kind, int] = {"entity": 2, "semantic": 1, "user": 2}
"""Altered facts, which the questions ask for."""
MOST_OPTIONS = 8
"""New values of one relation that the draw chooses among."""
MOST_TRIED = 200
"""Values of one relation that are looked at, so that a type of many thousand things takes no longer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A subject under the picture of another thing, and those of their type that lend values.

    Attributes:
        kind: of knowledge.
        subject: whose name stays.
        pictured: whose picture it gets.
        lenders: things of the type; the two above may be among them and lend nothing.
        words: how relations are put into words.
        key: what the draws depend on, besides the names of things and relations.
    """

    kind: Kind
    subject: Thing
    pictured: Thing
    lenders: Sequence[Thing]
    words: Words
    key: tuple[object, ...]


def draw_changes(exchange: Exchange, wanted: int) -> tuple[Change, ...]:
    """Return `wanted` altered facts, or fewer where the things have no more; the main one is the first.

    Raises:
        CannotWriteError: there are too few; the message is the reason.
    """
    subject = exchange.subject
    relations = in_order((fact.relation for fact in subject.facts), *exchange.key, subject.id)
    options = {relation: list(_options(exchange, relation)) for relation in relations}
    best: tuple[Change, ...] = ()
    for main in _mains(exchange, options):
        found = _completed(exchange, main, [options[name] for name in relations if name != main.relation], wanted)
        if len(found) > len(best):
            best = found
        if len(best) == wanted:
            break
    if len(best) < FEWEST[exchange.kind]:
        raise CannotWriteError(_why(exchange, options, best))
    return best


def _options(exchange: Exchange, relation: str) -> Iterator[Change]:
    """Yield the new values that a relation can take, at most one of each lender, in the order of their draw."""
    subject, pictured = exchange.subject, exchange.pictured
    before = subject.value(relation)
    if before is None or any(says(name, before) for name in _names(subject)):
        return  # the description names the subject, and so cannot be without the old value
    lenders = {thing.id: thing for thing in exchange.lenders if thing.id not in (subject.id, pictured.id)}
    true = {plain_words(fact.value) for thing in (subject, pictured) for fact in thing.facts}
    seen, found = set(true), 0
    for id_ in in_order(lenders, *exchange.key, subject.id, relation):
        fact = next((fact for fact in lenders[id_].facts if fact.relation == relation), None)
        value = () if fact is None else plain_words(fact.value)
        if fact is None or value in seen:
            continue
        seen.add(value)
        if _usable(exchange, fact, before):
            found += 1
            yield Change(relation=relation, before=before, after=fact.value, taken_from=id_, further=fact.further)
        if found == MOST_OPTIONS or len(seen) == len(true) + MOST_TRIED:
            return


def _usable(exchange: Exchange, fact: Fact, before: str) -> bool:
    sentence = _stated(exchange.words, fact.relation, fact.value)
    named = [*_names(exchange.subject), *_names(exchange.pictured)]
    return (
        0 < len(words(fact.value)) <= MOST_WORDS
        and _consistent_with(exchange, {fact.relation: fact.value})
        and not says(sentence, before)
        and not any(says(fact.value, name) for name in named)
        and not any(says(sentence, name) for name in _names(exchange.pictured))
    )


def _mains(exchange: Exchange, options: dict[str, list[Change]]) -> Iterator[Change]:
    """Yield the changes that the others are drawn around."""
    if exchange.kind == "semantic":
        yield from options.get(MEANING, [])
        return
    for found in options.values():
        yield from (change for change in found if _leads_further(exchange, [change]))


def _completed(exchange: Exchange, main: Change, others: Sequence[Sequence[Change]], wanted: int) -> tuple[Change, ...]:
    """Return the main change and those that go with it; lenders that gave nothing yet come first."""
    chosen = [main]
    for options in others:
        if len(chosen) == wanted:
            break
        lent = {change.taken_from for change in chosen}
        in_turn = sorted(options, key=lambda change: change.taken_from in lent)
        chosen += next(([change] for change in in_turn if _go_together(exchange, chosen, change)), [])
    return tuple(chosen)


def _go_together(exchange: Exchange, chosen: Sequence[Change], new: Change) -> bool:
    stated = _stated(exchange.words, new.relation, new.after)
    apart = all(
        not says(stated, str(old.before))
        and not says(_stated(exchange.words, old.relation, old.after), str(new.before))
        and not says(old.after, new.after)
        and not says(new.after, old.after)
        for old in chosen
    )
    together = [*chosen, new]
    return (
        apart
        and _consistent_with(exchange, {change.relation: change.after for change in together})
        and (exchange.kind != "entity" or _leads_further(exchange, together))
    )


def _consistent_with(exchange: Exchange, new: dict[str, str]) -> bool:
    true = {fact.relation: fact.value for fact in exchange.subject.facts}
    return not any(inconsistencies({**true, **new}, exchange.words, changed=new.keys()))


def _leads_further(exchange: Exchange, chosen: Sequence[Change]) -> bool:
    said = [_stated(exchange.words, change.relation, change.after) for change in chosen]
    return any(hops(change, exchange.subject, exchange.pictured, said) for change in chosen)


def _stated(grammar: Words, relation: str, value: str) -> str:
    return grammar.relation(relation).statement.format(x="", value=value)


def _names(thing: Thing) -> tuple[str, ...]:
    return (thing.name, *thing.aliases)


def _why(exchange: Exchange, options: dict[str, list[Change]], best: Sequence[Change]) -> str:
    able = [relation for relation, found in options.items() if found]
    if not able:
        return f"no other thing of the type {exchange.subject.type} lends it another value of any of its facts"
    if exchange.kind == "semantic":
        return f"its meaning cannot be altered: no other {exchange.subject.type} has another one that fits"
    if not best and not any(True for _ in _mains(exchange, options)):
        return f"no new value of its facts ({', '.join(sorted(able))}) leads to a further fact that can be asked"
    return f"only {max(len(best), 1)} of its facts can be altered, and an edit needs {FEWEST[exchange.kind]}"
