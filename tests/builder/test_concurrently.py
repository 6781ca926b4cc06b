"""Working on several things at once: what comes of them keeps their order, and an error ends the rest."""

import threading
import time

import pytest

from mmke.build.concurrently import AHEAD, concurrently
from mmke.errors import CannotWriteError, UserError


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_is_made_comes_in_the_order_of_the_items_and_refusals_stand_in_their_place(at_once: int) -> None:
    def make(n: int) -> int:
        time.sleep(0.01 * (5 - n))  # the first takes longest
        if n == 2:
            raise CannotWriteError("not this one")
        return n * n

    found = list(concurrently(make, range(5), at_once=at_once))
    assert [item for item, _ in found] == [0, 1, 2, 3, 4]
    assert [made for _, made in found if not isinstance(made, CannotWriteError)] == [0, 1, 9, 16]
    assert str(found[2][1]) == "not this one"


def test_at_most_so_many_are_worked_on_at_a_time() -> None:
    working, most, lock = 0, 0, threading.Lock()

    def make(n: int) -> int:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        time.sleep(0.02)
        with lock:
            working -= 1
        return n

    assert [made for _, made in concurrently(make, range(9), at_once=3)] == list(range(9))
    assert most == 3


def test_one_that_takes_long_does_not_hold_up_the_others() -> None:
    others = threading.Event()

    def make(n: int) -> int:
        if n == 5:
            others.set()
        return int(others.wait(30)) if n == 0 else n  # the first ends when the sixth has begun

    assert [made for _, made in concurrently(make, range(9), at_once=2)] == [1, *range(1, 9)]


def test_only_so_many_are_taken_before_the_first_is_handed_on() -> None:
    left = iter(range(100))
    assert next(concurrently(lambda n: n, left, at_once=2)) == (0, 0)
    assert next(left) == AHEAD * 2


def test_another_error_ends_the_rest_and_keeps_what_was_made() -> None:
    begun: list[int] = []
    taken: list[int] = []

    def make(n: int) -> int:
        begun.append(n)
        if n == 3:
            raise UserError("the endpoint is down")
        return n

    with pytest.raises(UserError, match="the endpoint is down"):
        taken.extend(item for item, _ in concurrently(make, range(50), at_once=2))
    assert taken == [0, 1, 2]
    assert len(begun) <= 4 + AHEAD * 2  # the fourth fails when its turn comes
