"""A pool of plain processes of this machine.

Each worker is a program of its own (`worker.py`), with a pipe to this process, so that nothing of what this process has
loaded is copied. What this process hears from a pipe is in the order in which it was sent; the end of a pipe is the end
of its worker, and comes after all that the worker had sent.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import TracebackType

from mmke.errors import UserError
from mmke.threads import VARIABLES
from mmke.workers import cards, serving
from mmke.workers.logs import Log
from mmke.workers.protocols import MOST_STARTS, Done, Event, Facts, Failed, Job, Lost
from mmke.workers.serving import BROKEN
from mmke.workers.settings import WorkerSettings
from mmke.workers.worker import Start

# Not `-m`: what it defines would be of another module there than here, and could not be read from the pipe.
PROGRAM = "from mmke.workers.worker import main; main()"

logger = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that a worker which was asked to end has before it is killed."""
LOOK = 1.0
"""Seconds after which processes are looked at, of which a pipe can say nothing: something else may hold it open."""


@dataclass
class _Worker:
    """A process, and what is known of it."""

    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection
    log: Log
    restarts: int = 0
    failed: bool = False


class Processes:
    """Workers of this machine; a `Pool`."""

    def __init__(
        self, settings: WorkerSettings, size: int, *, set_up: Callable[[WorkerSettings], Facts] = serving.set_up
    ) -> None:
        """Take what the user asked for.

        Args:
            settings: device, cards, threads and the folder for logs.
            size: how many workers, at least one.
            set_up: what a worker does first; a function of a module.
        """
        self.size = size
        self._settings = settings
        self._set_up = set_up
        self._visible: list[str] = []
        self._workers: dict[int, _Worker] = {}
        self._events: deque[Event] = deque()

    def __enter__(self) -> "Processes":  # noqa: PYI034 - the check of types at run time does not know Self
        """Start all workers."""
        if self._on_cards:
            self._visible = cards.visible_cards()
        try:
            for number in range(self.size):
                self._workers[number] = self._start(number)
        except BaseException:
            self._end(list(self._workers.values()))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers, whatever they do."""
        self._end(list(self._workers.values()))
        self._workers.clear()

    def give(self, worker: int, job: Job) -> None:
        """Let a worker that waits do a job."""
        # If it is gone, its pipe says so next.
        with suppress(OSError):
            self._workers[worker].pipe.send(job)

    def next(self) -> Event:
        """Wait for what happens next.

        Raises:
            RuntimeError: there is no worker that anything could be heard of.
        """
        while not self._events:
            if not self._workers:
                raise RuntimeError("all workers have ended")
            heard = wait([worker.pipe for worker in self._workers.values()], timeout=LOOK)
            for worker in list(self._workers.values()):
                if worker.pipe in heard or worker.process.poll() is not None:
                    self._hear(worker)
        return self._events.popleft()

    def dismiss(self, worker: int) -> None:
        """End a worker for good; nothing more is heard of it."""
        self._events = deque(event for event in self._events if event.worker != worker)
        gone = self._workers.pop(worker, None)
        if gone is not None:
            self._end([gone])

    @property
    def _on_cards(self) -> bool:
        return self._settings.device.startswith("cuda")

    def _start(self, number: int) -> _Worker:
        with ExitStack() as undo:
            log = Log(self._settings.folder, number)
            undo.callback(log.close, keep=True)
            ours, theirs = Pipe()
            undo.callback(ours.close)
            with theirs, _without_interrupts():
                process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno())],
                    env=self._environment(number),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log.file,
                    stderr=log.file,
                )
            undo.pop_all()
        with suppress(OSError):
            ours.send(Start(number, self.size, self._settings, self._set_up))
        return _Worker(number, process, ours, log)

    def _environment(self, number: int) -> Mapping[str, str]:
        """Return a worker's environment: what libraries read when they are loaded."""
        environment = {
            **os.environ,
            **dict.fromkeys(VARIABLES, str(self._settings.threads)),
            # What this process can import, a worker can.
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),  # noqa: PTH109
            "PYTHONFAULTHANDLER": "1",
            "PYTHONUNBUFFERED": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "TQDM_DISABLE": "1",
        }
        if self._on_cards:
            environment[cards.VISIBLE] = cards.cards_of(number, self._settings.cards, self._visible)
        return environment

    def _hear(self, worker: _Worker) -> None:
        """Take one message of a worker, or learn that it has ended."""
        try:
            # A worker that has ended may have left messages in its pipe.
            event: Event | None = worker.pipe.recv() if worker.pipe.poll() else None
        except (EOFError, OSError):
            event = None
        match event:
            case None:
                event = self._lost(worker)
            case Done():
                worker.restarts = 0
            case Failed(_, error, _):
                worker.failed |= not isinstance(error, UserError)
        self._events.append(event)

    def _lost(self, worker: _Worker) -> Lost:
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(LOOK)  # a pipe ends a moment before its process
        _stop([worker.process])
        why, log = _why(worker.process.returncode), worker.log.end()
        worker.pipe.close()
        worker.log.close(keep=True)
        del self._workers[worker.number]
        return Lost(worker.number, why, log, restarts=worker.restarts < MOST_STARTS and self._start_again(worker))

    def _start_again(self, worker: _Worker) -> bool:
        try:
            again = self._start(worker.number)
        except OSError as error:  # no memory for a process, or no more of them are allowed
            logger.warning("worker %d cannot be started again: %s", worker.number, error)
            return False
        again.restarts, again.failed = worker.restarts + 1, True
        self._workers[worker.number] = again
        return True

    def _end(self, workers: list[_Worker]) -> None:
        _stop([worker.process for worker in workers])
        for worker in workers:
            worker.pipe.close()
            worker.log.close(keep=worker.failed)


def _stop(processes: list["subprocess.Popen[bytes]"]) -> None:
    """End processes: ask first, then kill, and wait for each, so that the system forgets it."""
    for process in processes:
        process.terminate()  # nothing happens to one that has ended
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _why(code: int) -> str:
    if code == BROKEN:
        return "its GPU computed nothing more after an error"
    if code >= 0:
        return f"it ended with exit code {code}"
    hint = "; the system does so too when memory runs out" if code == -signal.SIGKILL else ""
    return f"killed by signal {-code}{hint}"


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start programs that Ctrl-C does not reach: this process decides when they end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
