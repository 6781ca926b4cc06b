"""Read a results folder into summaries of cells: one per backbone, editor, benchmark, hop, protocol, seed and average.

In: folders of runs. Out: a `CellSummary` for each, with the figures that `figures.py` makes of its rows.
`CellSummary.as_dict` is what other programs rely on (`mmke table --format json`): per cent (or the metric's own unit),
null where undefined.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.report.aggregates import with_aggregates
from mmke.report.conditions import Conditions, conditions_of
from mmke.report.figures import Average, Figure, Scale, figures
from mmke.report.tags import TagOf, tags_of
from mmke.results.described import columns_of, kinds_of
from mmke.results.finished import FinishedRecord, read_finished
from mmke.results.rows import EMPTY, UNENDED
from mmke.results.run_json import RUN, read_run
from mmke.results.timings import MemoryKind

FLOOR = "none"
"""The editor that edits nothing: its line is the floor of every table."""


class Generated(NamedTuple):
    """Answers that the model wrote by itself: how many there are, are empty, and did not end by themselves."""

    answers: int
    empty: int
    unended: int


@dataclass(frozen=True, slots=True)
class CellSummary:
    """The figures of one editor on one benchmark.

    Attributes:
        backbone: like the next five, as the run recorded it.
        editor: see `backbone`.
        benchmark: see `backbone`.
        hop: see `backbone`.
        protocol: see `backbone`.
        seed: see `backbone`.
        average: how the figures were averaged over records; those of KE under `paper` come both ways.
        n: finished records.
        dropped: records that the benchmark left out.
        seconds_per_edit: mean wall clock of the edit itself; None without records or without `timings.jsonl`.
        peak_memory_bytes: highest over records; None where not measured.
        metrics: figures by column, in table order.
        scale: kinds and columns of the run; like what follows, for tables for people only.
        as_published: whether this is the average under which such figures were published; KE's macro average is not.
        memory: what the peak is a peak of.
        ids: the finished records.
        reasons: of each column, how often which reason stands for a missing score.
        generated: what is to be known of answers that the model wrote by itself.
        conditions: under which starts of the program the rows were made.
    """

    backbone: str
    editor: str
    benchmark: str
    hop: int
    protocol: str
    seed: int
    average: Average
    n: int
    dropped: int
    seconds_per_edit: float | None
    peak_memory_bytes: int | None
    metrics: Mapping[str, Figure]
    scale: Scale
    as_published: bool = True
    memory: MemoryKind | None = None
    ids: frozenset[str] = frozenset()
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    generated: Generated | None = None
    conditions: Conditions = field(default_factory=Conditions)

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as plain data."""
        names = (
            *("backbone", "editor", "benchmark", "hop", "protocol", "n", "dropped", "seconds_per_edit"),
            "peak_memory_bytes",
        )
        metrics = {name: asdict(figure) for name, figure in self.metrics.items()}
        plain = {name: getattr(self, name) for name in names}
        return plain | {"metrics": metrics, "seed": self.seed, "average": self.average}

    @property
    def block(self) -> tuple[str, str, int, str]:
        """What one table is of: a backbone, benchmark, hop and protocol."""
        return (self.backbone, self.benchmark, self.hop, self.protocol)

    @property
    def place(self) -> tuple[Any, ...]:
        """The cell's place among all: block by block, each floor first, a published micro average before its macro."""
        return (*self.block, self.editor != FLOOR, self.editor, self.seed, self.average != "micro")


def read_cells(out: Path, *, by: str | None = None, only: Sequence[Path] | None = None) -> list[CellSummary]:
    """Read every run below a folder, also while it is being written, in table order; streams are passed over.

    Args:
        out: a results folder, or any folder inside one.
        by: a tag of the probes; each of its values gets figures of its own, such as `i_gen[held-out]`.
        only: read these runs' folders instead of all below `out`.

    Raises:
        UserError: no run there, or streams alone, two runs of one cell, a broken file, or a tag that no probe has.
    """
    folders = sorted(file.parent for file in out.rglob(RUN)) if only is None else list(only)
    if not folders:
        raise UserError(f"no results below {out}; name the --out of a run, or make one: mmke run --out {out}")
    folders = [folder for folder in folders if not is_stream(folder)]
    if not folders:
        raise UserError(f"there are only streams below {out}: mmke table {out} --stream")
    tags = {} if by is None else tags_of(folders, by)
    found: dict[tuple[Any, ...], Path] = {}
    cells = []
    for folder in folders:
        for cell in _summaries(folder, tags.get(folder)):
            if cell.place in found:
                raise UserError(f"{found[cell.place]} and {folder} are runs of the same cell; name the folder of one")
            found[cell.place] = folder
            cells.append(cell)
    return sorted(cells, key=lambda cell: cell.place)


def stream_folders(out: Path) -> list[Path]:
    """Return the folders of streams below a folder.

    Raises:
        UserError: a `run.json` is broken.
    """
    return [file.parent for file in sorted(out.rglob(RUN)) if is_stream(file.parent)]


def is_stream(folder: Path) -> bool:
    """Tell whether a folder holds a stream, whose figures are others (`streams/`).

    Raises:
        UserError: its `run.json` is broken.
    """
    return bool((read_run(folder) or {}).get("stream"))


def _summaries(folder: Path, tag_of: TagOf | None) -> Iterator[CellSummary]:
    run = read_run(folder)
    if run is None:
        raise UserError(f"{folder} has no {RUN}; name the --out of a run")
    records = with_aggregates(read_finished(folder), kinds_of(run))
    timings = [record.timing for record in records if record.timing is not None]
    peaks = [timing.peak_memory_bytes for timing in timings if timing.peak_memory_bytes is not None]
    averages: tuple[Average, ...] = ("micro", "macro") if run["switches"].get("average") == "micro" else ("macro",)
    for average in averages:
        scale = Scale(kinds_of(run), columns_of(run), average)
        yield CellSummary(
            backbone=run["backbone"],
            editor=run["editor"],
            benchmark=run["benchmark"],
            hop=run["hop"],
            protocol=run["protocol"],
            seed=run["seed"],
            average=average,
            n=len(records),
            dropped=len(run["records"]["dropped"]),
            seconds_per_edit=fmean(timing.seconds["edit"] for timing in timings) if timings else None,
            peak_memory_bytes=max(peaks, default=None),
            metrics=figures([record.rows for record in records], scale, tag_of=tag_of),
            scale=scale,
            as_published=average == averages[0],
            memory=timings[0].memory if timings else None,
            ids=frozenset(record.case_id for record in records),
            reasons=_reasons(records),
            generated=_generated(records),
            conditions=conditions_of(run),
        )


def _reasons(records: Sequence[FinishedRecord]) -> dict[str, Counter[str]]:
    """Return for each column how many rows have no score, by the reason that they give."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for row in record.rows:
            if row.value is None:
                found[row.metric][row.reason or "no reason given"] += 1
    return found


def _generated(records: Sequence[FinishedRecord]) -> Generated | None:
    """Count the answers that the model wrote by itself; None where it wrote none."""
    notes = {(record.key, row.probe): row.notes for record in records for row in record.rows if UNENDED in row.notes}
    if not notes:
        return None
    return Generated(
        len(notes), sum(note[EMPTY] for note in notes.values()), sum(note[UNENDED] for note in notes.values())
    )
