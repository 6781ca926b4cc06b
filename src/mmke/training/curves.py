"""Losses and validations as they come: lines of JSON, and beside them event files where TensorBoard is installed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mmke.errors import UserError

CURVES = "curves.jsonl"
BOARD = "tensorboard"


class Curves:
    """Writes them as long as its context lasts.

    A training that was killed may have written more than it kept: what lies beyond the place where it goes on is
    dropped, so that every record stands there once.
    """

    def __init__(self, folder: Path, *, records: int, write: bool = True) -> None:
        """Open them where training goes on after a number of records; of several processes, one writes.

        Raises:
            UserError: the folder cannot be written to.
        """
        self._folder, self._write = folder, write
        self._file = folder / CURVES
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
            if self._board is not None:
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
            if self._board is not None:
                self._board.add(kind, records, figures)

    def _begin(self, records: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _lines(self._file) if json.loads(line)["records"] <= records]
        # Beside it first: a kill in between must not cost what was kept.
        draft = self._file.with_name(f"{CURVES}.tmp")
        draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        draft.replace(self._file)
        try:
            from mmke.training.board import Board
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "tensorboardX":
                raise
            return  # the extra is not installed
        self._board = Board(self._folder / BOARD, records=records)

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
