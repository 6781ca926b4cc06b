"""Working on several things at once and handing on what comes of them in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from mmke.errors import CannotWriteError

AHEAD = 8
"""For each thread so many items are begun or wait to be: one that takes long does not leave the other threads idle."""

Item = TypeVar("Item")
Made = TypeVar("Made")


def concurrently(
    make: Callable[[Item], Made], items: Iterable[Item], *, at_once: int
) -> Iterator[tuple[Item, Made | CannotWriteError]]:
    """Yield each item with what is made of it, or with why nothing can be, in the order of the items.

    At most `at_once` items are worked on at a time, each in a thread of its own where there are several. Any other
    error is raised when its item's turn comes; it ends the rest, after those that have begun.
    """
    if at_once == 1:
        for item in items:
            yield item, _tried(make, item)
        return
    with ThreadPoolExecutor(at_once) as pool:
        waiting: deque[tuple[Item, Future[Made | CannotWriteError]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(_tried, make, item)))
                if len(waiting) == AHEAD * at_once:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def _first(
    waiting: deque[tuple[Item, Future[Made | CannotWriteError]]],
) -> tuple[Item, Made | CannotWriteError]:
    item, future = waiting.popleft()
    return item, future.result()


def _tried(make: Callable[[Item], Made], item: Item) -> Made | CannotWriteError:
    try:
        return make(item)
    except CannotWriteError as error:
        return error
