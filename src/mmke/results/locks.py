"""Locks by which one program at a time writes a folder, and others see that it does."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mmke.errors import UserError

LOCK = ".lock"
INSTANT = 0.2
"""Seconds after which a lock is tried for once more."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a folder from being written by another program.

    Raises:
        UserError: another program writes it.
    """
    # The file stays: deleting it would let two programs hold locks on two files of one name.
    with (path / LOCK).open("ab") as lock:
        if not _taken(lock):
            time.sleep(INSTANT)  # `mmke status` may be looking at this moment
            if not _taken(lock):
                raise UserError(f"{path} is being written by another program; wait for it, or choose another --out")
        yield


def _taken(lock: BinaryIO) -> bool:
    """Take a lock; false where another program has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_free(path: Path) -> None:
    """Refuse a folder that another program writes; one that is not there is free.

    Raises:
        UserError: another program writes it.
    """
    if (path / LOCK).exists():
        with locked(path):
            pass


def is_locked(folder: Path) -> bool:
    """Tell whether a program that this machine can see holds the lock of a run's folder."""
    try:
        with (folder / LOCK).open("rb") as lock:
            # Shared and for an instant: others that look are not in the way, and `locked` waits for us.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or a file system without locks
        return False
    return False
