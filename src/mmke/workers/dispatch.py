"""Give jobs to the workers of a pool until all are done, whatever happens to the workers.

In: a pool, jobs, and their owner, who is told of every result. A job is given as soon as a worker waits and all that it
needs is done, in the order in which the jobs came. A worker that is not accepted gets no job. What is left of
a job whose worker was lost is given again; its owner says what that is, and how often it is tried.
"""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from mmke.errors import UserError
from mmke.workers.protocols import Done, Event, Facts, Failed, Job, Lost, Pool, Ready, Result

logger = logging.getLogger(__name__)


class NotThisWorkerError(UserError):
    """A worker cannot do a job that another one can: its code, data, weights or device are others."""


@runtime_checkable
class Owner(Protocol):
    """Whose jobs they are: what is told of each, and what follows from it."""

    def refuses(self, facts: Facts) -> str | None:
        """Say why a worker that has just started must not compute anything; None where it may."""
        ...

    def take(self, job: Job, content: Any) -> None:
        """Take a result of a job."""
        ...

    def done(self, job: Job) -> None:
        """Learn that a job is done."""
        ...

    def failed(self, job: Job, error: Exception, trace: str) -> Sequence[Job]:
        """Learn that a job ended with an error; return what is to be done in its place."""
        ...

    def lost(self, job: Job, lost: Lost) -> Sequence[Job]:
        """Learn that the worker was lost that did a job; return what is left to do of it."""
        ...


def work_off(pool: Pool, jobs: Iterable[Job], owner: Owner) -> None:
    """Let the workers of a pool, which has been entered, do all jobs.

    Raises:
        UserError: no worker is left that could do what remains; the message says why the last one is not.
    """
    _Dispatch(pool, owner, deque(jobs)).run()


class _Dispatch:
    """Which jobs wait, which worker does which, and which workers there still are."""

    def __init__(self, pool: Pool, owner: Owner, waiting: deque[Job]) -> None:
        self.pool = pool
        self.owner = owner
        self.waiting = waiting
        self.busy: dict[int, Job] = {}
        self.idle: list[int] = []
        self.gone: set[int] = set()
        self.why_gone = ""

    def run(self) -> None:
        while self.waiting or self.busy:
            self._give()
            if not self.busy and len(self.gone) == self.pool.size:
                raise UserError(f"no worker is left: {self.why_gone}")
            self._learn(self.pool.next())

    def _give(self) -> None:
        while self.idle:
            job = self._next_job()
            if job is None:
                return
            self.waiting.remove(job)
            worker = self.idle.pop(0)
            self.busy[worker] = job
            self.pool.give(worker, job)

    def _next_job(self) -> Job | None:
        """Return the first job of which all that it needs is done; jobs must not need each other in a circle."""
        unfinished = {job.part_of for job in [*self.waiting, *self.busy.values()]}
        return next((job for job in self.waiting if not job.needs & unfinished), None)

    def _learn(self, event: Event) -> None:
        match event:
            case Ready(worker, facts):
                reason = self.owner.refuses(facts)
                if reason is None:
                    self.idle.append(worker)
                else:
                    self._dismiss(worker, f"worker {worker} on {facts.host} is not used: {reason}")
            case Result(worker, content):
                self.owner.take(self.busy[worker], content)
            case Done(worker):
                self.idle.append(worker)
                self.owner.done(self.busy.pop(worker))
            case Failed(worker, error, trace):
                self._failed(worker, error, trace)
            case Lost():
                self._lost(event)

    def _failed(self, worker: int, error: Exception, trace: str) -> None:
        job = self.busy.pop(worker)
        if isinstance(error, NotThisWorkerError):
            self.waiting.appendleft(job)
            self._dismiss(worker, f"worker {worker} is not used: {error}")
            return
        self.idle.append(worker)
        self.waiting.extendleft(reversed(self.owner.failed(job, error, trace)))

    def _lost(self, lost: Lost) -> None:
        if lost.worker in self.idle:
            self.idle.remove(lost.worker)
        job = self.busy.pop(lost.worker, None)
        told = f"worker {lost.worker} was lost ({lost.why})" + (
            f"; the end of its log:\n{lost.log}" if lost.log else ""
        )
        logger.warning("%s\n%s", told, "it is started again" if lost.restarts else "it is not started again")
        if not lost.restarts:
            self.gone.add(lost.worker)
            self.why_gone = told
        if job is not None:
            self.waiting.extendleft(reversed(self.owner.lost(job, lost)))

    def _dismiss(self, worker: int, why: str) -> None:
        logger.warning("%s", why)
        self.pool.dismiss(worker)
        self.gone.add(worker)
        self.why_gone = why
