"""Losses and validations as they come: lines of JSON, and event files that TensorBoard reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter

CURVES = "curves.jsonl"


class Curves:
    """Writes both as long as its context lasts.

    A training that was killed may have written more than it kept: what lies beyond the place where it goes on is
    dropped, so that every record stands there once.
    """

    def __init__(self, folder: Path, *, records: int, write: bool = True) -> None:
        """Open them where training goes on after a number of records; of several processes, one writes."""
        self._write = write
        if not write:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / CURVES
        kept = [line for line in _lines(self._file) if json.loads(line)["records"] <= records]
        self._file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=records + 1)

    def __enter__(self) -> "Curves":  # noqa: PYI034  # beartype knows no Self here
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with everything written."""
        if self._write:
            self._board.close()

    def add(self, kind: str, records: int, figures: Mapping[str, float]) -> None:
        """Write what was found after a number of records, of a kind such as "train" or "validation"."""
        if not self._write:
            return
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "records": records, **figures}) + "\n")
        for name, value in figures.items():
            self._board.add_scalar(f"{kind}/{name}", value, records)


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    whole = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line.rstrip("\n") for line in whole if line.endswith("\n")]
