"""Everything that a report is made of: the runs of one or several results folders, and what could not be read.

In: results folders. Out: `Gathered`. A run that is broken, empty or there twice is left out, and a line says why: a
report of nine good runs is not lost for the tenth.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.report.cells import FLOOR, CellSummary, is_stream, read_cells
from mmke.report.sources import named_sources
from mmke.report.streams.runs import read_runs
from mmke.report.streams.summaries import StreamSummary, read_streams
from mmke.results.finished import ROWS, FinishedRecord, read_cases, read_finished
from mmke.results.run_json import RUN, read_run
from mmke.types import EditCase

STYLE_TAG = "rephrase_style"
"""The tag of drawing styles, by which I-Gen is broken down where probes have it."""


class ReadRun(NamedTuple):
    """One run that could be read.

    Attributes:
        source: the results folder that it lies in, by as much of its path as tells it from the others.
        folder: where it lies.
        run: what its `run.json` says.
        cells: its figures; two where they are averaged in two ways, none of a stream.
        cases: by id.
        records: finished, with their answers.
    """

    source: str
    folder: Path
    run: Mapping[str, Any]
    cells: tuple[CellSummary, ...]
    cases: Mapping[str, EditCase]
    records: tuple[FinishedRecord, ...]

    @property
    def is_floor(self) -> bool:
        """Whether it is the unedited model's run."""
        return bool(self.run["editor"] == FLOOR)

    @property
    def table(self) -> str:
        """What the table of a run of single edits is of, in words."""
        told = self.run
        return f"{told['backbone']} on {told['benchmark']}, hop {told['hop']}, protocol {told['protocol']}"

    @property
    def unfinished(self) -> str | None:
        """What the last start of a run of single edits was to go over and has not finished, in words; None: nothing."""
        used = self.run["records"].get("used", 0)
        done = len(self.records)
        return f"{done} of {used} records" if not self.run.get("stream") and done < used else None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a report shows.

    Attributes:
        sources: names of the results folders.
        runs: in the order of tables.
        streams: by source, in table order.
        left_out: what could not be read, a line each.
    """

    sources: tuple[str, ...]
    runs: tuple[ReadRun, ...]
    streams: Mapping[str, Sequence[StreamSummary]]
    left_out: tuple[str, ...]


def gather(folders: Sequence[Path]) -> Gathered:
    """Read every run below some folders.

    Raises:
        UserError: a folder is not there, or nothing could be read.
    """
    named = named_sources(folders)
    runs: list[ReadRun] = []
    streams: dict[str, Sequence[StreamSummary]] = {}
    left_out: list[str] = []
    for source, folder in named.items():
        found = list(_runs(source, folder, left_out))
        runs += found
        of_streams = [run.folder for run in found if run.run.get("stream")]
        if of_streams:
            streams[source] = read_streams(folder, only=of_streams)
    if not runs:
        told = "".join(f"\n  {line}" for line in left_out)
        raise UserError(f"no results to report below {', '.join(map(str, folders))}; make some: mmke run{told}")
    return Gathered(tuple(named), tuple(sorted(runs, key=_place)), streams, tuple(left_out))


def _runs(source: str, folder: Path, left_out: list[str]) -> Iterator[ReadRun]:
    known: dict[tuple[Any, ...], Path] = {}
    lost = sorted(file.parent for file in folder.rglob(ROWS) if not (file.parent / RUN).exists())
    left_out += [f"{place}: it has {ROWS} but no {RUN}" for place in lost]
    for place in sorted(file.parent for file in folder.rglob(RUN)):
        try:
            found = _read(source, place)
        except UserError as error:
            left_out.append(f"{place}: {error}")
            continue
        which = _place(found)
        if not found.records:
            left_out.append(f"{place}: no record is finished")
        elif which in known:
            left_out.append(f"{place}: it is a run of the same cell as {known[which]}")
        else:
            known[which] = place
            yield found


def _read(source: str, folder: Path) -> ReadRun:
    run = read_run(folder) or {}
    cases = {id_: kept.case for id_, kept in read_cases(folder).items()}
    records = read_finished(folder, answers=run.get("schema") != 1)
    if is_stream(folder):
        read_runs(folder, only=[folder])  # its own files can be broken too
        return ReadRun(source, folder, run, (), cases, records)
    styled = any(STYLE_TAG in probe.tags for case in cases.values() for probe in case.probes)
    cells = read_cells(folder, by=STYLE_TAG if styled else None, only=[folder])
    return ReadRun(source, folder, run, tuple(cells), cases, records)


def _place(run: ReadRun) -> tuple[Any, ...]:
    plain = run.run
    about = (plain["backbone"], plain["benchmark"], plain["hop"], plain["protocol"], plain.get("schedule") or "single")
    order = plain.get("order_seed")
    return (*about, not run.is_floor, plain["editor"], plain["seed"], -1 if order is None else order, run.source)
