"""One worker of this machine: a process that does the jobs which come through a pipe, one after the other.

In: the number of the pipe's file on the command line, then through the pipe a `Start` and jobs. Out: events, through
the pipe. It ends when the other end of the pipe is closed, whatever it does then: so no worker outlives the process
that started it.
"""

import logging
import os
import pickle
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from mmke.workers import serving
from mmke.workers.protocols import Desk, Event, Facts, Ready, Result
from mmke.workers.settings import WorkerSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a worker is told first.

    Attributes:
        number: of the worker, from 0.
        neighbours: how many workers share this machine, this one included.
        settings: of the command.
        set_up: prepares the process and returns what it is; a function of a module.
    """

    number: int
    neighbours: int
    settings: WorkerSettings
    set_up: Callable[[WorkerSettings], Facts]


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

    def send(self, event: Event) -> None:
        """Send; if nobody is there any more, the process ends."""
        message = pickle.dumps(event)
        try:
            self._connection.send_bytes(message)
        except OSError:
            serving.end(0)

    def _receive(self) -> None:
        try:
            while True:
                self._received.put(self._connection.recv())
        except (EOFError, OSError):
            serving.end(0)
        except Exception:
            # Such as one of a class that is not installed here.
            logger.exception("a job cannot be read")
            serving.end(1)


def work(pipe: Pipe) -> None:
    """Do jobs until the other process ends this one."""
    start: Start = pipe.receive()
    pipe.send(Ready(start.number, start.set_up(start.settings)))
    desk = Desk(start.number, start.neighbours, lambda content: pipe.send(Result(start.number, content)))
    while True:
        pipe.send(serving.do(pipe.receive(), desk))


def main() -> None:
    """Be a worker."""
    serving.write_log()
    file = int(sys.argv[1])
    os.set_inheritable(file, False)  # noqa: FBT003 - a program that a job starts must not hold the pipe open
    pipe = Pipe(Connection(file))
    pipe.listen()
    work(pipe)
