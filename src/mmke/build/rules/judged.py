"""What the rules that come with mmke are made of: a name, a reason, and a function that looks at one record."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from mmke.build.content import Question, Thing
from mmke.build.protocols import Finding, Scope
from mmke.build.record import Record
from mmke.build.wording import says

Looks = Callable[[Record, Scope], Iterable[tuple[str, str]]]
"""Yields the place of each thing that is wrong in a record, and what is wrong there."""

Table = TypeVar("Table")

LOCALITY = ("t_loc", "i_loc")


@dataclass(slots=True)
class Judged:
    """A rule made of a function."""

    name: str
    reason: str
    look: Looks

    def find(self, record: Record, scope: Scope) -> Iterator[Finding]:
        """Yield what is wrong with a record."""
        for place, message in self.look(record, scope):
            yield Finding(record.id, self.name, place, message)


class Once(Generic[Table]):
    """A table over all records, made once however many of them are judged by it."""

    def __init__(self, make: Callable[[Scope], Table]) -> None:
        self._make = make
        self._made: tuple[Scope, Table] | None = None

    def of(self, scope: Scope) -> Table:
        """Return the table of a scope."""
        if self._made is None or self._made[0] is not scope:
            self._made = (scope, self._make(scope))
        return self._made[1]


def relation_questions(record: Record) -> list[Question]:
    """Return the questions about what the edit states: neither portability nor locality."""
    return [question for question in record.asked.questions if question.plan.key not in (*LOCALITY, "port")]


def names_of(thing: Thing) -> tuple[str, ...]:
    """Return all names of a thing."""
    return (thing.name, *thing.aliases)


def named_in(text: str, thing: Thing) -> str | None:
    """Return the name of a thing that a text says; None where it does not name it."""
    return next((name for name in names_of(thing) if says(text, name)), None)
