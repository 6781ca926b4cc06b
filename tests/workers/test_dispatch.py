"""Jobs go to workers that wait, in order, after what they need; and what becomes of them when workers are lost."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from mmke.errors import UserError
from mmke.workers.dispatch import NotThisWorkerError, work_off
from mmke.workers.protocols import Desk, Done, Event, Facts, Failed, Job, Lost, Ready, Result

FACTS = Facts("here", 1, "code", {}, (), "a processor", 1)


@dataclass(frozen=True)
class Named:
    """A job that does nothing."""

    name: str
    part_of: str = "all"
    needs: frozenset[str] = frozenset()

    def do(self, desk: Desk) -> None:
        desk.send(self.name)


@dataclass
class Scripted:
    """A pool that says what was written down for each time that a worker does a job."""

    size: int
    script: dict[tuple[int, str], list[Event]] = field(default_factory=dict)
    given: list[tuple[int, str]] = field(default_factory=list)
    events: deque[Event] = field(default_factory=deque)
    dismissed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events.extend(Ready(worker, FACTS) for worker in range(self.size))

    def give(self, worker: int, job: Job) -> None:
        self.given.append((worker, job.name))
        usual: list[Event] = [Result(worker, job.name), Done(worker)]
        self.events.extend(self.script.pop((worker, job.name), usual))

    def next(self) -> Event:
        return self.events.popleft()

    def dismiss(self, worker: int) -> None:
        self.dismissed.append(worker)


@dataclass
class Keeps:
    """An owner who keeps everything that is told."""

    again: int = 1
    refused: str | None = None
    taken: list[Any] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def refuses(self, facts: Facts) -> str | None:
        return self.refused

    def take(self, job: Job, content: Any) -> None:
        self.taken.append((job.name, content))

    def done(self, job: Job) -> None:
        self.finished.append(job.name)

    def failed(self, job: Job, error: Exception, trace: str) -> Sequence[Job]:
        self.told.append(f"{job.name}: {error}, {trace}")
        return []

    def lost(self, job: Job, lost: Lost) -> Sequence[Job]:
        self.told.append(f"{job.name}: {lost.why}")
        self.again -= 1
        return [job] if self.again >= 0 else []


def test_jobs_are_done_in_order_by_the_workers_that_wait() -> None:
    pool, owner = Scripted(2), Keeps()
    work_off(pool, [Named("a"), Named("b"), Named("c")], owner)
    assert pool.given == [(0, "a"), (1, "b"), (0, "c")]
    assert owner.taken == [("a", "a"), ("b", "b"), ("c", "c")]
    assert owner.finished == ["a", "b", "c"]


def test_a_job_waits_for_all_parts_of_what_it_needs() -> None:
    pool, owner = Scripted(2), Keeps()
    jobs = [Named("stream", "streams", frozenset({"floor"})), Named("f1", "floor"), Named("f2", "floor"), Named("x")]
    work_off(pool, jobs, owner)
    assert owner.finished.index("stream") > owner.finished.index("f2")
    assert pool.given[:3] == [(0, "f1"), (1, "f2"), (0, "x")]


def test_what_is_left_of_a_lost_worker_s_job_is_given_next() -> None:
    pool = Scripted(2, {(0, "a"): [Result(0, 1), Lost(0, "killed", "log", restarts=True), Ready(0, FACTS)]})
    owner = Keeps()
    work_off(pool, [Named("a"), Named("b"), Named("c")], owner)
    assert owner.told == ["a: killed"]
    assert [name for _, name in pool.given] == ["a", "b", "a", "c"]
    assert owner.taken[0] == ("a", 1)


def test_without_workers_the_reason_is_told_with_the_log() -> None:
    pool = Scripted(1, {(0, "a"): [Lost(0, "killed", "out of room", restarts=False)]})
    with pytest.raises(
        UserError, match=r"no worker is left: worker 0 was lost \(killed\); the end of its log:\nout of"
    ):
        work_off(pool, [Named("a")], Keeps())


def test_a_worker_of_another_version_gets_no_job() -> None:
    pool = Scripted(1)
    with pytest.raises(UserError, match="worker 0 on here is not used: torch 1 there, 2 here"):
        work_off(pool, [Named("a")], Keeps(refused="torch 1 there, 2 here"))
    assert (pool.given, pool.dismissed) == ([], [0])


def test_a_job_that_one_worker_cannot_do_goes_to_another() -> None:
    pool = Scripted(2, {(0, "a"): [Failed(0, NotThisWorkerError("other data"), "")]})
    owner = Keeps()
    work_off(pool, [Named("a"), Named("b")], owner)
    assert pool.given == [(0, "a"), (1, "b"), (1, "a")]
    assert (owner.finished, owner.told, pool.dismissed) == (["b", "a"], [], [0])


def test_an_error_is_told_and_the_others_go_on() -> None:
    pool, owner = Scripted(1, {(0, "a"): [Failed(0, RuntimeError("a bug"), "line 3")]}), Keeps()
    work_off(pool, [Named("a"), Named("b")], owner)
    assert (owner.told, owner.finished) == (["a: a bug, line 3"], ["b"])
