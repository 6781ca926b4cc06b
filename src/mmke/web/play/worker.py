"""The one thread that computes: work is done in the order in which it came, and tells of itself while it is done.

In: pieces of work, each a function that is given its `Job`. Out: events, which whoever asked for the work reads.
Nothing that a piece of work raises ends the thread; it becomes one line for the page.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from mmke.errors import UserError

logger = logging.getLogger(__name__)

MOST_WAITING = 32
"""Pieces of work that may wait: at most one of each tab, and sessions of tabs that are put away."""
OUT_OF_MEMORY = "The device has too little memory for this. Undo edits, or take a shorter question or a smaller model."
BROKEN = "This did not work ({told}). The terminal in which the command runs has the details."

Event = dict[str, Any]
Work = Callable[["Job"], Event | None]


class StoppedError(Exception):
    """Nobody waits for the work any more."""


class BusyError(UserError):
    """Too much work waits."""


class Job:
    """A piece of work for somebody who waits for it.

    Events are dictionaries; the last one is `done` or `failed`, and None follows it.
    """

    def __init__(self, work: Work) -> None:
        """Take what is to be done; must be made in the server's loop, in which `on_end` is called when it has ended."""
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.stopped = threading.Event()
        self.on_end: Callable[[], None] = lambda: None

    def tell(self, event: str, **more: Any) -> None:
        """Send an event to whoever waits.

        Raises:
            StoppedError: nobody does.
        """
        if self.stopped.is_set():
            raise StoppedError
        self._send({"event": event, **more})

    def run(self) -> None:
        """Do the work in the thread that calls this."""
        try:
            if self.stopped.is_set():
                return
            self._send({"event": "done", **(self._work(self) or {})})
        except StoppedError:
            pass
        except UserError as error:
            self._send({"event": "failed", "message": str(error)})
        except Exception as error:  # noqa: BLE001 - the outermost frame of this thread
            self._send({"event": "failed", "message": _told(error)})
        finally:
            self._send(None)

    def _send(self, event: Event | None) -> None:
        try:
            if event is None:
                self._loop.call_soon_threadsafe(self.on_end)
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the server has ended
            self.stopped.set()


def _told(error: Exception) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        logger.warning("%s", str(error).partition("\n")[0] or "out of memory")
        return OUT_OF_MEMORY
    logger.error("a piece of work failed", exc_info=error)
    first = str(error).partition("\n")[0][:200]
    return BROKEN.format(told=f"{type(error).__name__}: {first}" if first else type(error).__name__)


class Worker:
    """Does jobs one after the other, and between them what has to be put away."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._waiting: queue.Queue[Job | Callable[[], None] | None] = queue.Queue()
        self._now: Job | None = None
        self._thread = threading.Thread(target=self._run, name="mmke-play", daemon=True)

    def start(self, prepare: Callable[[], None]) -> None:
        """Start the thread, which first loads what it needs."""
        self._waiting.put(prepare)
        self._thread.start()

    def put(self, job: Job) -> int:
        """Let a job wait for its turn, and return how many are before it.

        Raises:
            BusyError: too many wait.
        """
        before = self._waiting.qsize() + (self._now is not None)
        if before >= MOST_WAITING:
            raise BusyError("The model has too much to do. Try again in a minute.")
        self._waiting.put(job)
        return before

    def later(self, work: Callable[[], None]) -> None:
        """Do something for which nobody waits, such as closing a session."""
        self._waiting.put(work)

    def close(self, seconds: float = 5.0) -> None:
        """End the thread after what it does now, which is stopped."""
        if self._now is not None:
            self._now.stopped.set()
        self._waiting.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            if isinstance(work, Job):
                self._now = work
                work.run()
                self._now = None
                continue
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the outermost frame of this thread
                _told(error)
