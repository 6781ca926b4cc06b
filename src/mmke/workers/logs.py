"""What workers write besides results: a file for each, in a hidden folder beside the results."""

import os
import socket
import tempfile
from pathlib import Path
from typing import IO

FOLDER = ".workers"
LINES = 15
"""Of a log's end that a message shows."""
BYTES = 8192
"""In which these lines are looked for."""


class Log:
    """The log of one worker, from one start to the next.

    Attributes:
        file: open; the worker writes into it.
        path: where it lies; None: in no folder, since none could be written to.
    """

    def __init__(self, folder: Path, number: int) -> None:
        """Open it; several commands, on several machines, can share a folder."""
        name = f"{socket.gethostname()}-{os.getpid()}-worker{number}.log"
        self.path: Path | None = folder / FOLDER / name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file: IO[bytes] = self.path.open("a+b")
        except OSError:
            self.path = None
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the worker

    def end(self) -> str:
        """Return its last lines."""
        size = self.file.seek(0, os.SEEK_END)
        self.file.seek(max(size - BYTES, 0))
        lines = self.file.read().decode(errors="replace").splitlines()
        where = [] if self.path is None else [f"(the whole log: {self.path})"]
        return "\n".join([*lines[-LINES:], *where]) if lines else ""

    def close(self, *, keep: bool) -> None:
        """Close it; it is removed where nothing is to be kept, with the folder when that is empty then."""
        self.file.close()
        if keep or self.path is None:
            return
        self.path.unlink(missing_ok=True)
        try:
            self.path.parent.rmdir()
        except OSError:  # others' logs are in it
            return
