"""The runs of results folders, each with its figures and what its `run.json` says; streams are passed over."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.report.cells import FLOOR, CellSummary, is_stream, read_cells
from mmke.report.sources import named_sources
from mmke.results.run_json import RUN, read_run


class Entry(NamedTuple):
    """One run.

    Attributes:
        source: the results folder that it lies in, by as much of its path as tells it from the others.
        cell: its figures.
        run: what its `run.json` says.
    """

    source: str
    cell: CellSummary
    run: Mapping[str, Any]

    @property
    def is_floor(self) -> bool:
        """Whether it is the unedited model's run."""
        return self.cell.editor == FLOOR


def read_entries(folders: Sequence[Path]) -> list[Entry]:
    """Read every run below some folders.

    Raises:
        UserError: a folder is not there or holds no run of single edits, or a file in it is broken.
    """
    return [entry for source, folder in named_sources(folders).items() for entry in _entries(folder, source)]


def _entries(folder: Path, source: str) -> list[Entry]:
    runs = [file.parent for file in sorted(folder.rglob(RUN))]
    single = [run for run in runs if not is_stream(run)]
    if not single:
        what = "only streams, which have no place on a leaderboard" if runs else "no results"
        raise UserError(f"{folder} holds {what}; make a run: mmke run --limit 0 --out {folder}")
    # Of figures that are averaged in two ways, those as they were published.
    return [
        Entry(source, cell, read_run(run) or {})
        for run in single
        for cell in read_cells(folder, only=[run])
        if cell.as_published
    ]
