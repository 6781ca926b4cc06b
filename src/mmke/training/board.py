"""Event files that TensorBoard reads. Needs the extra `mmke[tensorboard]`.

The library's own writer hands events to a thread, which ends on a full disk, and the training then waits for it for
ever; here what cannot be written is an error of the caller's.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

FLUSH_SECONDS = 5.0
"""How far TensorBoard may be behind; every flush waits for the disk."""


class Board:
    """One event file of a training.

    Raises:
        OSError: the disk is full or gone; so do its methods.
    """

    def __init__(self, folder: Path, *, records: int) -> None:
        """Begin a file where training goes on after a number of records."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self._writer = RecordWriter(str(folder / name))
        self._flushed = 0.0
        self._write(Event(file_version="brain.Event:2"))
        # To TensorBoard this says that whatever an earlier file holds from here on is void.
        self._write(Event(step=records + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, kind: str, records: int, figures: Mapping[str, float]) -> None:
        """Show figures after a number of records, as `kind/name`."""
        for name, value in figures.items():
            self._write(Event(step=records, summary=scalar(f"{kind}/{name}", value)))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
