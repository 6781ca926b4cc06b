"""What an edit or an answer says of itself while it is made: done of how many, in words, tokens as they are written.

In: calls from where the work is done. Out: calls of a watcher, which whoever shows progress sets with `watched`. An
editor need not know of it. Where nobody watches, a call reads one variable and returns; it never changes a result.

    with steps.watched(Shown()):
        session.apply(edits)

An exception that a watcher raises ends the work where it is: so a reader who went away stops it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

Loss = Callable[[], float]
"""Reads the loss of the last step; on a GPU that waits for the device."""


@runtime_checkable
class Watcher(Protocol):
    """Whoever shows what is done. It is called in the thread that works."""

    def step(self, done: int, total: int, loss: Loss | None) -> None:
        """Take notice of a step; `loss` can be read before this returns."""
        ...

    def say(self, words: str) -> None:
        """Take notice of what is done now, such as "retrieving demonstrations"."""
        ...

    def wrote(self, query: int, ids: Sequence[int]) -> None:
        """Take notice of all token ids that are written so far in answer to a query, by its index in its batch."""
        ...


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
_loss: ContextVar[Loss | None] = ContextVar("loss", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Tell a watcher what is done within."""
    before = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(before)


@contextmanager
def measured(loss: Loss) -> Iterator[None]:
    """Say how the loss of the steps within is read."""
    before = _loss.set(loss)
    try:
        yield
    finally:
        _loss.reset(before)


def watching() -> bool:
    """Tell whether anybody watches, for what costs something to keep ready."""
    return _watcher.get() is not None


def report(done: int, total: int) -> None:
    """Say that `done` steps of `total` are done."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.step(done, total, _loss.get())


def say(words: str) -> None:
    """Say in words what is done now."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.say(words)


def wrote(query: int, ids: Sequence[int]) -> None:
    """Say what is written so far in answer to a query of a batch."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher.wrote(query, ids)
