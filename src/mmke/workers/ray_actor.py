"""One worker of a Ray cluster: an actor, which does the jobs that it is called with.

A call is a generator: Ray hands each event on as soon as it is there. A job, however, sends its results through a
function. So the job runs in a thread of the actor, always the same one, and the generator takes from a queue what the
job sends. (The other way, an actor that starts one of our plain processes and passes on what comes through its pipe,
would cost a second process, and what ends one of the two would have to be passed on to the other.)
"""

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mmke.workers import serving
from mmke.workers.protocols import Desk, Done, Facts, Failed, Result
from mmke.workers.ray_cluster import workers_on
from mmke.workers.settings import WorkerSettings


@dataclass(frozen=True)
class Start:
    """What an actor is told first.

    Attributes:
        number: of the worker, from 0.
        settings: of the command.
        size: how many workers there are on all machines.
        folder: the current folder of the process that asks; paths in jobs are relative to it.
        log: where the worker writes its log; None: where Ray keeps it.
    """

    number: int
    settings: WorkerSettings
    size: int
    folder: Path
    log: Path | None


class Worker:
    """The actor; it is made by `ray.remote`."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mmke-job")
        self._desk = Desk(start.number, 1, lambda _: None)

    def start(self) -> Facts | str:
        """Set the process up; return what it is, or why it cannot do what is asked of it."""
        if not self._start.folder.is_dir():
            return (
                f"the folder {self._start.folder}, in which the command was given, is not on this machine; "
                "give the command in a folder that all machines share"
            )
        os.chdir(self._start.folder)
        if self._start.log is not None and self._start.log.is_file():
            _write_into(self._start.log)
        serving.write_log()
        self._desk.neighbours = self._neighbours()
        return self._thread.submit(serving.set_up, self._start.settings).result()

    def do(self, job: bytes) -> Iterator[Result | Done | Failed]:
        """Do a job; the last event is how it ended."""
        events: SimpleQueue[Result | None] = SimpleQueue()
        self._desk.send = lambda content: events.put(Result(self._start.number, content))
        ended = self._thread.submit(self._do, job)
        ended.add_done_callback(lambda _: events.put(None))
        while (event := events.get()) is not None:
            yield event
        yield ended.result()

    def _do(self, pickled: bytes) -> Done | Failed:
        try:
            job: Any = pickle.loads(pickled)  # noqa: S301 - of the process that started this one
        except Exception as error:  # noqa: BLE001 - such as a class that is not installed here
            told = RuntimeError(f"the job cannot be read there: {type(error).__name__}: {error}")
            return Failed(self._start.number, told, "")
        return serving.do(job, self._desk)

    def _neighbours(self) -> int:
        """Return how many workers this machine has room for, at most all that there are."""
        import ray

        here = ray.get_runtime_context().get_node_id()
        (room,) = (workers_on(node, self._start.settings) for node in ray.nodes() if node["NodeID"] == here)
        return max(1, min(self._start.size, room))


def _write_into(file: Path) -> None:
    """Send all that this process writes from now on to a file, also what libraries in C write."""
    with file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
