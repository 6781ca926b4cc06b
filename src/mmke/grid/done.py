"""What of a grid is in the results folder: finished records, their seconds and bytes, for each cell.

In: a results folder, which may be being written. Out: for each cell that has a folder what it holds. No model, no data.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mmke.grid.expand import Cell
from mmke.results.finished import read_finished
from mmke.results.folder import FILES
from mmke.results.rows import RecordKey
from mmke.results.run_json import RUN, read_run


class Done(NamedTuple):
    """What a folder holds of a cell.

    Attributes:
        keys: the finished records.
        seconds: that each of them took, as far as it is known.
        bytes: of all their lines.
        on_gpu: whether they were computed on a GPU.
    """

    keys: frozenset[RecordKey]
    seconds: tuple[float, ...]
    bytes: int
    on_gpu: bool


def read_done(out: Path) -> Mapping[Cell, Done]:
    """Return what is there of each cell.

    Raises:
        UserError: a folder's files were edited.
    """
    return dict(_cells(out))


def _cells(out: Path) -> Iterator[tuple[Cell, Done]]:
    for file in sorted(out.rglob(RUN)):
        folder, run = file.parent, read_run(file.parent)
        if run is None:
            continue
        records = read_finished(folder)
        seconds = [sum(record.timing.seconds.values()) for record in records if record.timing is not None]
        cell = Cell(
            run["backbone"],
            run["benchmark"],
            run["hop"],
            run["protocol"],
            run["seed"],
            run["editor"],
            run["schedule"],
            run.get("order_seed"),
        )
        sizes = sum((folder / name).stat().st_size for name in FILES if (folder / name).exists())
        keys = frozenset(record.key for record in records)
        yield cell, Done(keys, tuple(seconds), sizes, run.get("device_type") == "cuda")
