"""Working on several things at once and handing on what comes of them in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from mmke.errors import CannotWriteError

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_turn(
    make: Callable[[Item], Made], items: Iterable[Item], *, at_once: int
) -> Iterator[tuple[Item, Made | CannotWriteError]]:
    """Yield each item with what is made of it, or with why nothing can be, in the order of the items.

    At most `at_once` items are worked on at a time, each in a thread of its own where there are several. Any other
    error ends the rest, after those that have begun.
    """
    if at_once == 1:
        for item in items:
            yield item, _tried(make, item)
        return
    with ThreadPoolExecutor(at_once) as pool:
        begun: deque[tuple[Item, Future[Made | CannotWriteError]]] = deque()
        try:
            for item in items:
                if len(begun) == at_once:
                    first, future = begun.popleft()
                    yield first, future.result()
                begun.append((item, pool.submit(_tried, make, item)))
            while begun:
                first, future = begun.popleft()
                yield first, future.result()
        finally:
            for _, future in begun:
                future.cancel()


def _tried(make: Callable[[Item], Made], item: Item) -> Made | CannotWriteError:
    try:
        return make(item)
    except CannotWriteError as error:
        return error
