"""One worker: a process that does the jobs which come through a pipe, one after the other.

In: the number of the pipe's file on the command line, then through the pipe a `Start` and jobs. Out: through the pipe
what `processes.py` makes events of. It ends when the other end of the pipe is closed, whatever it does then: so no
worker outlives the process that started it.
"""

import logging
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.threads import limit_threads
from mmke.workers.protocols import Desk, Facts, Job

BROKEN = 70
"""Exit code of a worker whose GPU computes nothing more after an error."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a worker is told first.

    Attributes:
        number: of the worker, from 0.
        neighbours: how many workers share this machine, this one included.
        threads: of the processor.
        card_part: the part of a GPU's memory that it may take; None: all that there is, or no GPU.
        facts: what it answers with; a function of a module.
    """

    number: int
    neighbours: int
    threads: int
    card_part: float | None
    facts: Callable[[], Facts]


class Told(NamedTuple):
    """What a worker sends; `kind` is "ready", "result", "done" or "failed"."""

    kind: str
    content: Any = None
    trace: str = ""


class Pipe:
    """A worker's end of its pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._received: SimpleQueue[Any] = SimpleQueue()

    def listen(self) -> None:
        """Let a thread receive, so that the end of the other process is seen in the middle of a job too."""
        threading.Thread(target=self._receive, name="mmke-pipe", daemon=True).start()

    def receive(self) -> Any:
        """Wait for what comes next."""
        return self._received.get()

    def send(self, told: Told) -> None:
        """Send; if nobody is there any more, the process ends."""
        message = pickle.dumps(told)
        try:
            self._connection.send_bytes(message)
        except OSError:
            _end(0)

    def _receive(self) -> None:
        try:
            while True:
                self._received.put(self._connection.recv())
        except (EOFError, OSError):
            _end(0)
        except Exception:
            # Such as one of a class that is not installed here.
            logger.exception("a job cannot be read")
            _end(1)


def work(pipe: Pipe) -> None:
    """Do jobs until the other process ends this one."""
    start: Start = pipe.receive()
    limit_threads(start.threads)
    if start.card_part is not None:
        import torch

        torch.cuda.set_per_process_memory_fraction(start.card_part)
    facts = start.facts()
    limit_threads(start.threads)  # now PyTorch is imported, which has a number of its own
    pipe.send(Told("ready", facts))
    desk = Desk(start.number, start.neighbours, lambda content: pipe.send(Told("result", content)))
    while True:
        pipe.send(_done(pipe.receive(), desk))


def _done(job: Job, desk: Desk) -> Told:
    logger.info("begins %s", job.name)
    try:
        job.do(desk)
    except Exception as error:
        if not isinstance(error, UserError):
            logger.exception("%s ended with an error", job.name)
            _end_if_broken()
        return Told("failed", as_it_arrives(error), traceback.format_exc())
    return Told("done")


def as_it_arrives(error: Exception) -> Exception:
    """Return an error, or a `RuntimeError` with its text where it cannot go through a pipe."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its class does when it is pickled
        copy = None
    return error if type(copy) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _end_if_broken() -> None:
    """End the process where an error has left the GPU unusable: all later jobs would fail too."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except Exception:
        logger.exception("the GPU computes nothing more in this process")
        _end(BROKEN)


def _end(code: int) -> None:
    # Not `sys.exit`: it would wait for what the other threads compute.
    logging.shutdown()
    os._exit(code)


def main() -> None:
    """Be a worker."""
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("mmke").setLevel(logging.INFO)
    file = int(sys.argv[1])
    os.set_inheritable(file, False)  # noqa: FBT003 - a program that a job starts must not hold the pipe open
    pipe = Pipe(Connection(file))
    pipe.listen()
    work(pipe)
