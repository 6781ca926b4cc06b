"""What is the same each time a step is taken: made once, kept on a tape, and read from there when the step is recorded.

In a recording (`replay`) nothing may be copied to a GPU, and nothing may be asked of it. So a step that is to be
recorded is taken once while a tape is written, and is recorded while the tape is read. Without a tape everything is
made anew.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


class OtherStepError(RuntimeError):
    """A step asked the tape for another number of things than it did when the tape was written."""


@dataclass
class Tape:
    """What one step made, in the order in which it did.

    Attributes:
        things: on it.
        place: of the next one to read; None while it is written.
    """

    things: list[Any] = field(default_factory=list)
    place: int | None = None

    def next(self, make: Callable[[], T]) -> T:
        """Make a thing and keep it; or return the next one.

        Raises:
            OtherStepError: there is none left.
        """
        if self.place is None:
            with _with(None):  # what is made within belongs to it
                self.things.append(make())
            made: T = self.things[-1]
            return made
        if self.place == len(self.things):
            raise OtherStepError("the step asks for more than it did before")
        self.place += 1
        kept: T = self.things[self.place - 1]
        return kept


_tape: ContextVar[Tape | None] = ContextVar("_tape", default=None)


def same(make: Callable[[], T]) -> T:
    """Return what does not change from one time that a step is taken to the next."""
    tape = _tape.get()
    return make() if tape is None else tape.next(make)


@contextmanager
def writing(tape: Tape) -> Iterator[None]:
    """Within, keep on a tape what is made."""
    with _with(tape):
        yield


@contextmanager
def reading(tape: Tape) -> Iterator[None]:
    """Within, take from a tape what was made.

    Raises:
        OtherStepError: not all of it was asked for, or more.
    """
    tape.place = 0
    with _with(tape):
        yield
    if tape.place != len(tape.things):
        raise OtherStepError("the step asks for less than it did before")


@contextmanager
def _with(tape: Tape | None) -> Iterator[None]:
    token = _tape.set(tape)
    try:
        yield
    finally:
        _tape.reset(token)
