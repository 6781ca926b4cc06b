"""Read a results folder into cells: one per backbone, editor, benchmark, hop and protocol.

`Cell.as_dict` is what other programs rely on (`mmke table --format json`): per cent (divergences in nats), null where
undefined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mmke.errors import UserError
from mmke.report.figures import Figure, figures
from mmke.results.finished import Finished, read_finished
from mmke.results.manifest import RUN, read_run
from mmke.results.timings import MemoryKind

FLOOR = "none"
"""The editor that edits nothing: its line is the floor of every table."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The figures of one editor on one benchmark.

    Attributes:
        backbone: like the next four, as the run recorded it.
        editor: see `backbone`.
        benchmark: see `backbone`.
        hop: see `backbone`.
        protocol: see `backbone`.
        n: finished records.
        dropped: records that the benchmark left out.
        seconds_per_edit: mean wall clock of the edit itself; None without records.
        peak_memory_bytes: highest over records; None where not measured.
        metrics: in table order.
        memory: what the peak is a peak of; stands in tables for people only.
    """

    backbone: str
    editor: str
    benchmark: str
    hop: int
    protocol: str
    n: int
    dropped: int
    seconds_per_edit: float | None
    peak_memory_bytes: int | None
    metrics: Mapping[str, Figure]
    memory: MemoryKind | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as plain data."""
        plain = asdict(self)
        del plain["memory"]
        return plain

    @property
    def place(self) -> tuple[str, str, int, str, bool, str]:
        """The cell's place in a table: blocks of one backbone, benchmark, hop and protocol, each floor first."""
        return (self.backbone, self.benchmark, self.hop, self.protocol, self.editor != FLOOR, self.editor)


def read_cells(out: Path, *, by: str | None = None, only: Sequence[Path] | None = None) -> list[Cell]:
    """Read every run below a folder, also while it is being written, in table order.

    Args:
        out: a results folder, or any folder inside one.
        by: a tag of the probes; each of its values gets figures of its own, such as `i_gen[held-out]`.
        only: read these runs' folders instead of all below `out`.

    Raises:
        UserError: no run there, two runs of one cell, a broken file, or a tag that no probe has.
    """
    folders = sorted(file.parent for file in out.rglob(RUN)) if only is None else list(only)
    if not folders:
        raise UserError(f"no results below {out}; name the --out of a run, or make one: mmke run --out {out}")
    runs = {folder: read_finished(folder) for folder in folders}
    if by is not None:
        _check_tag(by, runs)
    found: dict[tuple[Any, ...], Path] = {}
    cells = []
    for folder, finished in runs.items():
        cell = _cell(folder, finished, by=by)
        if cell.place in found:
            raise UserError(f"{found[cell.place]} and {folder} are runs of the same cell; name the folder of one")
        found[cell.place] = folder
        cells.append(cell)
    return sorted(cells, key=lambda cell: cell.place)


def _cell(folder: Path, finished: Finished, *, by: str | None) -> Cell:
    run = read_run(folder)
    if run is None:
        raise UserError(f"{folder} has no {RUN}; name the --out of a run")
    timings = [record.timing for record in finished.records]
    peaks = [timing.peak_memory_bytes for timing in timings if timing.peak_memory_bytes is not None]
    return Cell(
        backbone=run["backbone"],
        editor=run["editor"],
        benchmark=run["benchmark"],
        hop=run["hop"],
        protocol=run["protocol"],
        n=len(finished.records),
        dropped=len(run["records"]["dropped"]),
        seconds_per_edit=fmean(timing.seconds["edit"] for timing in timings) if timings else None,
        peak_memory_bytes=max(peaks, default=None),
        metrics=figures([record.rows for record in finished.records], by=by),
        memory=timings[0].memory if timings else None,
    )


def _check_tag(by: str, runs: Mapping[Path, Finished]) -> None:
    tags = {tag for run in runs.values() for record in run.records for row in record.rows for tag in row.tags}
    if by not in tags:
        raise UserError(f"no probe has the tag {by!r}; these results have {', '.join(sorted(tags)) or 'none'}")
