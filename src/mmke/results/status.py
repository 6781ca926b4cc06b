"""How far a results folder is, also while programs write it: read from its files, on any machine that sees the folder.

In: a results folder. Out: for each cell how many of its records are done, when it was last written, how quickly it
goes, and whether a program writes it now. Nothing is changed, and no program that writes is held up.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmke.errors import UserError
from mmke.results.finished import ROWS, FinishedRecord, read_finished
from mmke.results.locks import is_locked
from mmke.results.plans import PLANS, PlannedCell, read_plans
from mmke.results.rate import per_minute
from mmke.results.run_json import RUN, read_run
from mmke.results.shard import shard_of
from mmke.results.steps import STEPS, read_steps

RECENT = 120.0
"""Seconds: a cell that was written since then may be being written, where its lock cannot be seen."""
SLOW = 3
"""So many times as long as a record takes counts as recent, where that is longer."""
Writing = Literal["lock", "recent", "no"]
"""A lock is held on the folder; none is seen here, but it was written lately; neither."""


@dataclass(frozen=True, slots=True)
class CellStatus:
    """How far one cell is.

    Attributes:
        place: its folder below the results folder.
        done: finished records.
        wanted: records that the last start was to write; None: not known.
        used: records of the benchmark that the last start went over; None where it has not begun.
        steps: of a stream, how many are made; None: no stream.
        steps_wanted: of a stream, how many there are; None: not known.
        last_write: of its newest file, in seconds since 1970; None: nothing is written yet.
        per_minute: records; None: not known.
        writing: whether a program writes it now.
        shard: which part of a run it is, such as "1/4".
        problem: why it cannot be read.
    """

    place: str
    done: int = 0
    wanted: int | None = None
    used: int | None = None
    steps: int | None = None
    steps_wanted: int | None = None
    last_write: float | None = None
    per_minute: float | None = None
    writing: Writing = "no"
    shard: str | None = None
    problem: str | None = None

    @property
    def left(self) -> int | None:
        """How many records are missing; None: not known."""
        return None if self.wanted is None else max(0, self.wanted - self.done)

    @property
    def seconds_left(self) -> float | None:
        """How long it takes at its rate, while it is being written; None: not known."""
        if self.left is None or not self.per_minute or self.writing == "no":
            return None
        return 60 * self.left / self.per_minute


@dataclass(frozen=True, slots=True)
class Status:
    """How far a results folder is.

    Attributes:
        out: the results folder.
        cells: by place.
        at: when it was looked at, in seconds since 1970.
    """

    out: Path
    cells: tuple[CellStatus, ...]
    at: float

    @property
    def done(self) -> int:
        """How many records are finished, of all cells."""
        return sum(cell.done for cell in self.cells)

    @property
    def wanted(self) -> int | None:
        """How many records there are to be; None: of some cell it is not known."""
        known = [max(cell.wanted, cell.done) for cell in self.cells if cell.wanted is not None]
        return sum(known) if len(known) == len(self.cells) else None

    @property
    def per_minute(self) -> float | None:
        """Records a minute of all cells that are being written; None: not known."""
        rates = [cell.per_minute for cell in self.cells if cell.writing != "no" and cell.per_minute and cell.left]
        return sum(rates) or None

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the rate of what is being written; None: not known."""
        if self.wanted is None or self.per_minute is None:
            return None
        return 60 * sum(cell.left or 0 for cell in self.cells) / self.per_minute

    @property
    def finished(self) -> bool:
        """Whether every cell has all its records."""
        return all(cell.left == 0 and cell.problem is None for cell in self.cells)


@dataclass
class Looker:
    """Looks at a results folder, again and again; a cell whose rows are as before is not read anew."""

    out: Path
    _read: dict[Path, tuple[object, tuple[FinishedRecord, ...]]] = field(default_factory=dict)

    def look(self) -> Status:
        """Return how far the folder is now.

        Raises:
            UserError: it is no results folder.
        """
        planned = self._planned()
        begun = {file.parent.relative_to(self.out).as_posix() for file in self.out.rglob(RUN)}
        places = sorted({*begun, *(place for place, cell in planned.items() if cell.wanted)})
        if not places:
            raise UserError(f"no results below {self.out}; name the --out of a run that has begun")
        now = time.time()
        return Status(self.out, tuple(self._cell(place, planned.get(place), now) for place in places), now)

    def _planned(self) -> dict[str, PlannedCell]:
        """Return what runs below the folder are going to write; a folder of shards holds several results folders."""
        planned: dict[str, PlannedCell] = {}
        for folder in sorted({file.parents[1] for file in self.out.rglob(f"{PLANS}/*.json")}):
            for plan in read_plans(folder):
                planned |= {
                    (folder / place).relative_to(self.out).as_posix(): cell for place, cell in plan.cells.items()
                }
        return planned

    def _cell(self, place: str, planned: PlannedCell | None, now: float) -> CellStatus:
        try:
            run = read_run(self.out / place)
            if run is None:
                return CellStatus(place, wanted=planned.wanted if planned else None)
            return self._begun(place, run, planned, now)
        except (UserError, OSError) as error:
            return CellStatus(place, wanted=planned.wanted if planned else None, problem=str(error))

    def _begun(self, place: str, run: Mapping[str, Any], planned: PlannedCell | None, now: float) -> CellStatus:
        folder = self.out / place
        records = self._finished(folder)
        stream = run.get("stream") is not None and run.get("order_seed") is not None
        wanted = planned.wanted if planned else run["records"].get("wanted")
        rate = per_minute(records, run, last_write(folder))
        shard = shard_of(run)
        return CellStatus(
            place,
            done=len(records),
            wanted=wanted,
            used=run["records"]["used"],
            steps=len(read_steps(folder)) if stream else None,
            steps_wanted=run["records"].get("steps"),
            last_write=last_write(folder),
            per_minute=rate,
            writing=_writing(folder, now, rate, left=wanted is None or len(records) < wanted),
            shard=None if shard is None else str(shard),
        )

    def _finished(self, folder: Path) -> tuple[FinishedRecord, ...]:
        file = folder / ROWS
        seen = (file.stat().st_mtime_ns, file.stat().st_size) if file.exists() else None
        if folder not in self._read or self._read[folder][0] != seen:
            self._read[folder] = seen, read_finished(folder)
        return self._read[folder][1]


def last_write(folder: Path) -> float | None:
    """Return when a run's folder was last written, in seconds since 1970; None: nothing is written."""
    times = [(folder / name).stat().st_mtime for name in (ROWS, STEPS, RUN) if (folder / name).exists()]
    return max(times, default=None)


def _writing(folder: Path, now: float, rate: float | None, *, left: bool) -> Writing:
    if is_locked(folder):
        return "lock"
    last = last_write(folder)
    long = max(RECENT, SLOW * 60 / rate if rate else 0.0)
    return "recent" if left and last is not None and now - last < long else "no"


def as_dict(status: Status) -> dict[str, Any]:
    """Return a status as plain data, for other programs."""
    return {
        "folder": str(status.out),
        "done": status.done,
        "wanted": status.wanted,
        "records_per_minute": status.per_minute,
        "seconds_left": status.seconds_left,
        "finished": status.finished,
        "cells": [dict(_plain(cell, status.at)) for cell in status.cells],
    }


def _plain(cell: CellStatus, now: float) -> Iterator[tuple[str, Any]]:
    yield from ((name, getattr(cell, name)) for name in ("place", "shard", "done", "wanted", "used"))
    yield from (("steps", cell.steps), ("steps_wanted", cell.steps_wanted))
    yield "seconds_since_write", None if cell.last_write is None else round(now - cell.last_write, 1)
    yield from (("records_per_minute", cell.per_minute), ("seconds_left", cell.seconds_left))
    yield from (("writing", cell.writing), ("problem", cell.problem))
