"""`curves.jsonl`: training losses and validation figures, one JSON line each.

In: figures found after a number of records. Out: lines in the training's folder. Where TensorBoard is installed, the
same figures go into its event files as well.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mmke.errors import UserError

CURVES = "curves.jsonl"
EVENTS = "tensorboard"


class Curves:
    """Writes the curves of one training; a context manager.

    A training that was killed may have written lines after its last checkpoint. A training that continues drops them,
    so that no record appears twice.
    """

    def __init__(self, folder: Path, *, records: int, write: bool = True) -> None:
        """Open the curves of a training that has trained on this many records.

        Args:
            folder: of the training.
            records: how many were trained on; later lines are dropped.
            write: False in all processes but the first, which write nothing.

        Raises:
            UserError: the folder cannot be written to.
        """
        self._folder, self._write = folder, write
        self._file = folder / CURVES
        self._events: Any = None
        if write:
            with self._as_user_error():
                self._begin(records)

    def __enter__(self) -> "Curves":  # noqa: PYI034  # beartype knows no Self here
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left."""
        if not self._write:
            return
        # An error of the training is what the user needs to see; a second one of the curves would hide it.
        with suppress(OSError) if error is not None else self._as_user_error():
            if self._events is not None:
                self._events.close()

    def add(self, kind: str, records: int, figures: Mapping[str, float]) -> None:
        """Write the figures found after a number of records; `kind` is "train" or "validation".

        Raises:
            UserError: the disk is full or gone.
        """
        if not self._write:
            return
        with self._as_user_error():
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, "records": records, **figures}) + "\n")
            if self._events is not None:
                self._events.add(kind, records, figures)

    def _begin(self, records: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _lines(self._file) if json.loads(line)["records"] <= records]
        # A draft first: a kill while it is written must not lose the old lines.
        draft = self._file.with_name(f"{CURVES}.tmp")
        draft.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        draft.replace(self._file)
        try:
            from mmke.events import EventFile
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "tensorboardX":
                raise
            return  # the extra is not installed
        self._events = EventFile(self._folder / EVENTS, records=records)

    @contextmanager
    def _as_user_error(self) -> Iterator[None]:
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
