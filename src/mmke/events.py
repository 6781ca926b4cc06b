"""Event files that TensorBoard reads. Needs the extra `mmke[tensorboard]`.

The library's own writer writes in a thread. On a full disk that thread dies, and the training waits for it for ever.
So this one writes in the caller's thread, and a failed write is an OSError there.
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
"""Seconds between two flushes, each of which waits for the disk."""


class EventFile:
    """One event file, of a training or of a finished run.

    Raises:
        OSError: the disk is full or gone; its methods raise it too.
    """

    def __init__(self, folder: Path, *, records: int) -> None:
        """Begin a file; what earlier files of the folder say of later steps than `records` is void."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self._writer = RecordWriter(str(folder / name))
        self._flushed = 0.0
        self._write(Event(file_version="brain.Event:2"))
        # TensorBoard then drops what an earlier file says of later steps.
        self._write(Event(step=records + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, kind: str, records: int, figures: Mapping[str, float]) -> None:
        """Add the figures found after a number of records, under the names `kind/name`."""
        for name, value in figures.items():
            self._write(Event(step=records, summary=scalar(f"{kind}/{name}", value)))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush, and close the file."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
