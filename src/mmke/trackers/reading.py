"""What a results folder has for a tracker: its runs with their figures, and its streams with their curves."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.report.blocks import GIB
from mmke.report.cells import CellSummary, is_stream, read_cells
from mmke.report.streams.summaries import StreamSummary, read_streams
from mmke.results.run_json import RUN, read_run
from mmke.trackers.protocol import Point, Tracked

FACTS = (
    *("backbone", "editor", "benchmark", "hop", "protocol", "seed", "schedule", "probes", "settings", "stream"),
    *("switches", "dtype", "device", "data_revision", "weights_revision"),
)
"""Of `run.json`, what a tracker can filter and sort by."""


def read_tracked(folders: Sequence[Path]) -> list[Tracked]:
    """Return the runs and streams of run folders, or of all below a results folder.

    Raises:
        UserError: there is none, or a file is broken.
    """
    runs = [file.parent for folder in folders for file in sorted(folder.rglob(RUN))]
    if not runs:
        raise UserError(f"there are no results below {', '.join(map(str, folders))}; name the --out of a run")
    streams = [run for run in runs if is_stream(run)]
    single = [run for run in runs if run not in streams]
    found = [_of_cell(cell, read_run(run) or {}) for run in single for cell in _published(run)]
    if streams:
        found += [_of_stream(stream) for stream in read_streams(streams[0], only=streams)]
    return found


def _published(run: Path) -> Iterator[CellSummary]:
    """Yield a run's figures; of those that are averaged in two ways, as they were published."""
    return (cell for cell in read_cells(run, only=[run]) if cell.as_published)


def _of_cell(cell: CellSummary, run: Mapping[str, Any]) -> Tracked:
    figures: dict[str, float | None] = {}
    for name, figure in cell.metrics.items():
        figures |= {name: figure.value, f"se/{name}": figure.se, f"gain/{name}": figure.gain}
    memory = None if cell.peak_memory_bytes is None else cell.peak_memory_bytes / GIB
    figures |= {"records": float(cell.n), "seconds_per_edit": cell.seconds_per_edit, "peak_memory_gib": memory}
    known = _known(figures)
    return _tracked(run, cell.block, known, [Point(cell.n, known)])


def _of_stream(stream: StreamSummary) -> Tracked:
    figures: dict[str, float | None] = {"records": float(stream.cases)}
    curves: dict[int, dict[str, float]] = {}
    for name, column in stream.columns.items():
        for moment, pooled in column.figures.items():
            figures |= {f"{moment}/{name}": pooled.value, f"gain/{moment}/{name}": pooled.gain}
        for place, pooled in column.curves.get("checkpoints", {}).items():
            if isinstance(place, int):
                curves.setdefault(place, {})[name] = pooled.value
    points = [Point(step, curves[step]) for step in sorted(curves)]
    return _tracked(stream.runs[0].run, stream.key, _known(figures), points)


def _known(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}


def _tracked(
    run: Mapping[str, Any], block: Sequence[object], figures: Mapping[str, float], points: Sequence[Point]
) -> Tracked:
    last = run["history"][-1]
    config = {name: run[name] for name in FACTS if run.get(name) is not None}
    config |= {"versions": last["versions"], "commit": last["commit"]}
    group = " ".join(map(str, block))
    same = json.dumps([group, {name: config.get(name) for name in FACTS}], sort_keys=True)
    name = f"{run['editor']} {group}" + (f" seed {run['seed']}" if run["seed"] else "")
    return Tracked(name, group, sha256(same.encode()).hexdigest()[:16], config, figures, points)
