"""A pool whose workers are this process, for tests: they take turns, and each job goes through pickle."""

import pickle
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from mmke.workers.facts import own_facts
from mmke.workers.protocols import Desk, Done, Event, Failed, Job, Lost, Ready, Result

Meddle = Callable[[Job, int, int], Exception | Lost | None]
"""What happens when so many results of a job were sent by a worker; before the last of them is delivered."""


def copied(thing: Any) -> Any:
    """Return what arrives in another process."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


class Ended(BaseException):
    """The worker is gone."""


class InTurns:
    """Workers of this process. What they send comes back in another order than it was given out: last job first."""

    def __init__(self, size: int, meddle: Meddle = lambda _job, _sent, _worker: None) -> None:
        self.size = size
        self.jobs: list[str] = []
        self.results: list[tuple[object, ...]] = []
        self._meddle = meddle
        self._events: deque[Event] = deque()
        self._given: list[tuple[int, Job]] = []
        self._desks: dict[int, Desk] = {}

    def __enter__(self) -> Self:
        for number in range(self.size):
            self._start(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given.clear()

    def give(self, worker: int, job: Job) -> None:
        self._given.append((worker, copied(job)))

    def next(self) -> Event:
        if not self._events:
            self._do(*self._given.pop())
        return self._events.popleft()

    def dismiss(self, worker: int) -> None:
        del self._desks[worker]

    def _start(self, number: int) -> None:
        self._desks[number] = Desk(number, self.size, lambda _: None)
        self._events.append(Ready(number, own_facts()))

    def _do(self, worker: int, job: Job) -> None:
        self.jobs.append(job.name)
        sent = 0

        def send(content: Any) -> None:
            nonlocal sent
            sent += 1
            happens = self._meddle(job, sent, worker)
            if isinstance(happens, Exception):
                raise happens
            if happens is not None:
                raise Ended(happens)
            self.results.append((getattr(content, "cell", job.name), getattr(content, "key", sent)))
            self._events.append(Result(worker, copied(content)))

        desk = self._desks[worker]
        desk.send = send
        try:
            job.do(desk)
        except Ended as ended:
            self._events.append(ended.args[0])
            if ended.args[0].restarts:
                self._start(worker)
        except Exception as error:  # noqa: BLE001 - a worker tells every error
            self._events.append(Failed(worker, error, "the traceback"))
        else:
            self._events.append(Done(worker))
