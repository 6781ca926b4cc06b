"""A pool on a Ray cluster, of this machine or of many: an actor for each worker.

What one actor sends comes in the order in which it was sent; after that comes that it was lost. Nothing is repeated by
Ray itself: whoever gave a job decides what is left of it.
"""

import logging
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mmke.counting import counted
from mmke.errors import UserError
from mmke.workers.logs import Log
from mmke.workers.protocols import MOST_STARTS, Event, Facts, Failed, Job, Lost, Pool, Ready, Result
from mmke.workers.ray_actor import Start, Worker
from mmke.workers.ray_cluster import connected, environment, resources, room
from mmke.workers.settings import WorkerSettings

LOOK = 5.0
"""Seconds after which a pool that hears nothing looks whether workers wait for room."""
SAID_AFTER = 30.0
"""Seconds without room on the cluster after which a message says so."""
GIVEN_UP_AFTER = 900.0
"""Seconds without room after which a worker is given up, if no other one computes: a cluster may need some minutes to
get a machine."""

logger = logging.getLogger(__name__)


class _Place:
    """One worker's actor, and what is known of it."""

    def __init__(self, actor: Any, log: Log, *, losses: int) -> None:
        self.actor = actor
        self.log = log
        self.losses = losses
        self.began = time.monotonic()
        self.facts: Facts | None = None
        self.failed = losses > 0
        self.awaited: Any = actor.start.remote()
        """What the actor is to answer next: a reference, or a generator of them; None: it waits for a job."""


class RayPool:
    """Workers of a Ray cluster; a `Pool`."""

    def __init__(self, settings: WorkerSettings, size: int | None = None, *, most: int | None = None) -> None:
        """Take what the user asked for.

        Args:
            settings: the cluster's address, device, cards, threads and the folder for logs.
            size: how many workers; None: as many as the cluster has room for when the pool is entered.
            most: more than so many are of no use.
        """
        self._settings = settings
        self._size = size
        self._most = most
        self._places: dict[int, _Place] = {}
        self._said = False
        self._stack = ExitStack()

    @property
    def size(self) -> int:
        """Return how many workers there are."""
        return self._size or 0

    def __enter__(self) -> Pool:
        """Connect, and start all workers.

        Raises:
            UserError: there is no such cluster, or it has no room for a worker.
        """
        with ExitStack() as stack:
            stack.enter_context(connected(self._settings, self._size))
            stack.callback(self._end)
            self._size = self._how_many()
            for number in range(self._size):
                self._places[number] = self._start(number)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers, and the cluster if it was started for them."""
        self._stack.close()

    def give(self, worker: int, job: Job) -> None:
        """Let a worker that waits do a job."""
        import ray

        place = self._places[worker]
        pickled = ray.cloudpickle.dumps(job)
        place.awaited = place.actor.do.options(num_returns="streaming").remote(pickled)

    def next(self) -> Event:
        """Wait for what happens next.

        Raises:
            RuntimeError: there is no worker that anything could be heard of.
        """
        import ray

        while True:
            awaited = {place.awaited: number for number, place in self._places.items() if place.awaited is not None}
            if not awaited:
                raise RuntimeError("no worker does anything")
            ready, _ = ray.wait(list(awaited), num_returns=1, timeout=LOOK)
            event = self._event(awaited[ready[0]]) if ready else self._waits_too_long()
            if event is not None:
                return event

    def dismiss(self, worker: int) -> None:
        """End a worker for good; nothing more is heard of it."""
        place = self._places.pop(worker, None)
        if place is not None:
            _kill(place)

    def _how_many(self) -> int:
        has_room = room(self._settings)
        each = f"{counted(self._settings.threads, 'core')} each"
        if self._settings.device.startswith("cuda"):
            each = f"{self._settings.cards:g} GPU each"
        if self._size is None:
            if not has_room:
                raise UserError(
                    f"the cluster has no room for a worker ({each}); add machines, or take another --device or "
                    "--cards-per-worker (--workers N waits until there is room)"
                )
            return min(has_room, self._most or has_room)
        if has_room < self._size:
            logger.warning(
                "%s with %s: the cluster has room for %d now; the others start when there is more",
                counted(self._size, "worker"),
                each,
                has_room,
            )
        return self._size

    def _start(self, number: int, *, losses: int = 0) -> _Place:
        import ray

        log = Log(self._settings.folder.absolute(), number)
        start = Start(number, self._settings, self.size, Path.cwd(), log.path)
        make = ray.remote(Worker).options(
            **resources(self._settings),
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": environment(self._settings)},
        )
        return _Place(make.remote(start), log, losses=losses)

    def _event(self, worker: int) -> Event | None:
        """Read what a worker has to say."""
        import ray

        place = self._places[worker]
        try:
            if place.facts is None:
                return self._started(worker, ray.get(place.awaited))
            event: Event = ray.get(next(place.awaited))
        except ray.exceptions.RayError as error:
            # With a machine that has just gone, several starts can be lost before the cluster knows.
            place.losses += not _is_gone(error)
            return self._lost(worker, _why(error, place.facts), restarts=_helps_again(error))
        if not isinstance(event, Result):
            place.awaited = None
            place.failed |= isinstance(event, Failed) and not isinstance(event.error, UserError)
            place.losses = 0 if not isinstance(event, Failed) else place.losses
        return event

    def _started(self, worker: int, told: Facts | str) -> Event:
        place = self._places[worker]
        if isinstance(told, str):
            return self._lost(worker, told, restarts=False)
        place.facts, place.awaited = told, None
        return Ready(worker, told)

    def _lost(self, worker: int, why: str, *, restarts: bool) -> Lost:
        """Let a worker's actor go, and start another one."""
        place = self._places.pop(worker)
        log = place.log.end()
        place.failed = True
        _kill(place)
        restarts = restarts and place.losses <= MOST_STARTS
        if restarts:
            self._places[worker] = self._start(worker, losses=place.losses)
        return Lost(worker, why, log, restarts)

    def _waits_too_long(self) -> Event | None:
        """Say that workers wait for room on the cluster; give one up when nothing else is to be expected."""
        waiting = {number: place for number, place in self._places.items() if place.facts is None}
        if not waiting:
            return None
        first = min(waiting, key=lambda number: waiting[number].began)
        waited = time.monotonic() - waiting[first].began
        if waited > SAID_AFTER and not self._said:
            self._said = True
            logger.warning(
                "%s not started yet: the cluster has no room, or its machines are slow (ray status)",
                counted(len(waiting), "worker"),
            )
        if waited > GIVEN_UP_AFTER and len(waiting) == len(self._places):
            return self._lost(first, f"the cluster had no room for it for {waited / 60:.0f} minutes", restarts=False)
        return None

    def _end(self) -> None:
        for place in self._places.values():
            _kill(place)
        self._places.clear()


def _kill(place: _Place) -> None:
    import ray

    # Also one that Ray takes for dead: its machine may only have been out of reach for a while.
    with suppress(ray.exceptions.RayError, ValueError):
        ray.kill(place.actor)
    place.log.close(keep=place.failed)


def _helps_again(error: Exception) -> bool:
    """Tell whether another try can go better: not where the class cannot be imported there."""
    return "creation task" not in str(error)


def _is_gone(error: Exception) -> bool:
    """Tell whether a worker was lost with its machine."""
    told = str(error)
    return "node has died" in told or "node was terminated" in told


def _why(error: Exception, facts: Facts | None) -> str:
    """Say in a few words why a worker was lost."""
    import ray

    told = " ".join(str(error).split())
    who = "its process" if facts is None else f"its process {facts.pid} on {facts.host}"
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in told:
        return f"{who} was ended since the machine ran out of memory; fewer --workers take less"
    if _is_gone(error):
        return "its machine is gone" if facts is None else f"its machine {facts.host} is gone"
    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return f"{who}, or the whole machine, cannot be reached any more"
    if "worker process has died" in told:
        return f"{who} was killed, or crashed"
    return f"{who}: {told[-400:]}"
