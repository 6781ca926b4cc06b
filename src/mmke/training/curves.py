"""Losses and validations as they come: lines of JSON, and event files that TensorBoard reads."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from mmke.errors import UserError

CURVES = "curves.jsonl"
BOARD = "tensorboard"
FLUSH_SECONDS = 5.0
"""How far TensorBoard may be behind; every flush waits for the disk."""


class Curves:
    """Writes both as long as its context lasts.

    A training that was killed may have written more than it kept: what lies beyond the place where it goes on is
    dropped, so that every record stands there once.

    The library's own writer for TensorBoard hands events to a thread, which ends on a full disk, and the training then
    waits for it for ever; here what cannot be written is told.
    """

    def __init__(self, folder: Path, *, records: int, write: bool = True) -> None:
        """Open them where training goes on after a number of records; of several processes, one writes.

        Raises:
            UserError: the folder cannot be written to.
        """
        self._folder, self._write = folder, write
        self._file = folder / CURVES
        self._flushed = 0.0
        self._board: Any = None
        if write:
            with self._told():
                self._begin(records)

    def __enter__(self) -> "Curves":  # noqa: PYI034  # beartype knows no Self here
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with everything written."""
        if not self._write:
            return
        # What breaks training off is told, and not what that does to the curves as well.
        with suppress(OSError) if error is not None else self._told():
            self._board.close()

    def add(self, kind: str, records: int, figures: Mapping[str, float]) -> None:
        """Write what was found after a number of records, of a kind such as "train" or "validation".

        Raises:
            UserError: the disk is full or gone.
        """
        if not self._write:
            return
        with self._told():
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, "records": records, **figures}) + "\n")
            for name, value in figures.items():
                self._show(Event(step=records, summary=scalar(f"{kind}/{name}", value)))
            if time.monotonic() - self._flushed >= FLUSH_SECONDS:
                self._board.flush()
                self._flushed = time.monotonic()

    def _begin(self, records: int) -> None:
        board = self._folder / BOARD
        board.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _lines(self._file) if json.loads(line)["records"] <= records]
        # Beside it first: a kill in between must not cost what was kept.
        draft = self._file.with_name(f"{CURVES}.tmp")
        draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        draft.replace(self._file)
        name = f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self._board = RecordWriter(str(board / name))
        self._show(Event(file_version="brain.Event:2"))
        # To TensorBoard this says that whatever an earlier file holds from here on is void.
        self._show(Event(step=records + 1, session_log=SessionLog(status=SessionLog.START)))

    def _show(self, event: Event) -> None:
        event.wall_time = time.time()
        self._board.write(event.SerializeToString())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"the curves in {self._folder} cannot be written ({error.strerror}); make room or give the folder the "
                "rights it needs, and give the same command again: the checkpoints are kept"
            ) from error


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    whole = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line.rstrip("\n") for line in whole if line.endswith("\n")]
