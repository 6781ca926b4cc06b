"""Jobs that a worker does in a moment, without torch; workers find this module by the path of the tests."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmke.workers.protocols import Desk, Facts
from mmke.workers.settings import WorkerSettings


def set_up(settings: WorkerSettings) -> Facts:
    return Facts("here", os.getpid(), "code", {}, (), "processor", int(os.environ["OMP_NUM_THREADS"]))


def cannot_start(settings: WorkerSettings) -> Facts:
    raise RuntimeError("this worker cannot start")


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


class FromAfarError(Exception):
    """Can be pickled, and not be read again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True)
class Small:
    """Sends some numbers, then does something."""

    name: str
    send: int = 1
    then: Callable[[Desk], None] | None = None
    part_of: str = "small"
    needs: frozenset[str] = frozenset()

    def do(self, desk: Desk) -> None:
        for number in range(self.send):
            desk.send((self.name, number))
        if self.then is not None:
            self.then(desk)


def fail(desk: Desk) -> None:
    raise ValueError("a plain error")


def fail_from_afar(desk: Desk) -> None:
    raise FromAfarError(1, 2)


def die(desk: Desk) -> None:
    print("these are its last words")  # noqa: T201
    os.kill(os.getpid(), signal.SIGKILL)


def leave(desk: Desk) -> None:
    os._exit(7)


def sleep(desk: Desk) -> None:
    time.sleep(600)


def sleep_deaf(desk: Desk) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    desk.send("deaf")
    time.sleep(600)


def tell_environment(desk: Desk) -> None:
    desk.send((os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"], os.getcwd(), desk.neighbours))  # noqa: PTH109
