"""A block of records with the floor and all editors: what one worker does at a time.

In: the request, what is left to do of each cell, and the floor's rows that are there already. Out: for each record of
each cell its rows and timing, sent as soon as they are made. What was computed for the floor serves all editors.
"""

import gc
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mmke.protocols import Backbone
from mmke.results.manifest import NOT_KNOWN, differences
from mmke.results.rows import RecordKey
from mmke.results.timings import Timing
from mmke.running.execution import ChangedBackboneError, Job, check_untouched, edit_and_score
from mmke.running.fingerprint import fingerprint
from mmke.running.loading import load
from mmke.running.planning import Cell, Plan, plan
from mmke.running.request import FLOOR, Request
from mmke.running.scoring import Floor
from mmke.running.stated import run_settings
from mmke.types import EditCase, ScoreRow
from mmke.workers.dispatch import NotThisWorkerError
from mmke.workers.protocols import Desk


class Finished(NamedTuple):
    """A record with all its rows; `cell` is the place of its cell in the plan."""

    cell: int
    key: RecordKey
    rows: tuple[ScoreRow, ...]
    timing: Timing


class Void(NamedTuple):
    """The backbone was changed: what was written into the cell at this place of the plan may not be valid."""

    cell: int


@dataclass(frozen=True)
class Part:
    """What is left to do of one cell in a block.

    Attributes:
        cell: its place in the plan.
        settings: what `run.json` states of it; a worker that would state anything else computes nothing.
        left: its records that are not finished.
    """

    cell: int
    settings: Mapping[str, Any]
    left: tuple[RecordKey, ...]


@dataclass(frozen=True)
class Records:
    """A block of consecutive records of one benchmark; a `Job`.

    Attributes:
        request: of the run, with every editor and checkpoint named.
        benchmark: its name.
        parts: the floor first, where some of its records are left.
        floor: rows of the floor that are there already.
        tries: how many workers have been lost with records of this block.
    """

    request: Request
    benchmark: str
    parts: tuple[Part, ...]
    floor: tuple[ScoreRow, ...] = ()
    tries: int = 0
    needs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Say which records of which cells these are."""
        cases = self.cases
        few = cases if len(cases) < 3 else (cases[0], "…", cases[-1])
        return f"{self.benchmark}: {'record' if len(cases) == 1 else 'records'} {' '.join(few)}"

    @property
    def part_of(self) -> str:
        """Return the name of all that is done with these records."""
        return floor_of(self.request, self.benchmark)

    @property
    def cases(self) -> tuple[str, ...]:
        """Return the ids of the records that are left."""
        return tuple(dict.fromkeys(key.case_id for part in self.parts for key in part.left))

    def do(self, desk: Desk) -> None:
        """Edit and ask, one cell after the other.

        Raises:
            NotThisWorkerError: this worker would write other rows than were asked for.
            ChangedBackboneError: an editor has changed the backbone.
            UserError: too little memory, a broken checkpoint.
        """
        planned = desk.keep("plan", self.request, lambda: plan(self.request))
        job = job_of(desk, planned, self.benchmark)
        for part in self.parts:
            check_same(self.request, planned.cells[part.cell], job, part.settings)
        floor = list(self.floor)
        begun: list[Part] = []
        try:
            for part in self.parts:
                cell = planned.cells[part.cell]
                keeper = _Sending(desk, part, cell)
                is_floor = cell.editor.name == FLOOR
                begun += [part] * (not is_floor)
                edit_and_score(job, cell, keeper, floor=None if is_floor else Floor.of(floor))
                if is_floor:
                    floor += keeper.rows
        finally:
            self._check_untouched(desk, job, planned, begun)

    def _check_untouched(self, desk: Desk, job: Job, planned: Plan, parts: Sequence[Part]) -> None:
        """Look at the backbone once for all editors of the block: of a large model that takes longer than an edit.

        Raises:
            ChangedBackboneError: one of them has changed it; what they wrote is not valid.
        """
        try:
            check_untouched(job, [planned.cells[part.cell].editor.name for part in parts])
        except ChangedBackboneError:
            for part in parts:
                desk.send(Void(part.cell))
            raise

    def without(self, finished: Collection[tuple[int, RecordKey]], floor: Sequence[ScoreRow]) -> "Records | None":
        """Return what is left when some records of some cells are finished, with the floor's rows among these."""
        parts = [
            replace(part, left=tuple(key for key in part.left if (part.cell, key) not in finished))
            for part in self.parts
        ]
        left = tuple(part for part in parts if part.left)
        return replace(self, parts=left, floor=(*self.floor, *floor)) if left else None

    def divided(self) -> list["Records"]:
        """Return smaller blocks, so that what ends a worker ends as little as possible: by record, then by cell."""
        if len(self.cases) > 1:
            return [self._only([case]) for case in self.cases]
        # Without its floor no other cell of the record can be scored.
        knows_floor = any(row.case_id in self.cases for row in self.floor)
        return [replace(self, parts=(part,)) for part in self.parts] if knows_floor else [self]

    def _only(self, cases: Collection[str]) -> "Records":
        parts = [replace(part, left=tuple(key for key in part.left if key.case_id in cases)) for part in self.parts]
        floor = tuple(row for row in self.floor if row.case_id in cases)
        return replace(self, parts=tuple(part for part in parts if part.left), floor=floor)


class _Sending:
    """A keeper that sends each record on; everything but what is left counts as done."""

    def __init__(self, desk: Desk, part: Part, cell: Cell) -> None:
        self.done = set(cell.keys) - set(part.left)
        self.rows: list[ScoreRow] = []
        self._desk, self._cell = desk, part.cell

    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Send a record; the case itself is known where it goes."""
        key = RecordKey.of(rows[0])
        if key.case_id != case.id:
            raise ValueError(f"rows of {key.case_id!r} for the case {case.id!r}")
        self.done.add(key)
        self.rows += rows
        self._desk.send(Finished(self._cell, key, tuple(rows), timing))


def floor_of(request: Request, benchmark: str) -> str:
    """Return what jobs name that have to wait for the floor of a benchmark."""
    return f"{request.backbone}, hop {request.hop}, {request.protocol}, seed {request.seed}: {benchmark}"


def job_of(desk: Desk, planned: Plan, benchmark: str) -> Job:
    """Return the loaded backbone, with a store for one benchmark; both are kept from one job to the next."""
    request = planned.request

    def make() -> Job:
        backbone, untouched = backbone_of(desk, request)
        editors = {cell.editor.name: cell.editor for cell in planned.cells if cell.benchmark.name == benchmark}
        return Job.of(
            backbone,
            seed=request.seed,
            untouched=untouched,
            editors=tuple(editors.values()),
            on_disk=request.on_disk,
            share=desk.neighbours,
        )

    return desk.keep("job", (request, benchmark), make)


def backbone_of(desk: Desk, request: Request) -> tuple[Backbone, str]:
    """Return the loaded backbone of a request, which is kept from job to job, and its fingerprint."""

    def make() -> tuple[Backbone, str]:
        # Before each cell of each block memory is given back (`execution.execute`). To look through all objects of the
        # libraries and of the model each time would take longer than the edit of a small model.
        gc.unfreeze()
        gc.collect()
        backbone = load(request)
        gc.collect()
        gc.freeze()
        return backbone, fingerprint(backbone.module)

    return desk.keep("backbone", (request.backbone, request.dtype, request.device, request.weights), make)


def check_same(request: Request, cell: Cell, job: Job, wanted: Mapping[str, Any]) -> None:
    """Refuse to compute what would be other rows than whoever asked for them writes.

    Raises:
        NotThisWorkerError: data, weights, settings or device are others; the message names them.
    """
    here = run_settings(request, cell, job.backbone).as_dict()
    if wanted["device"] == NOT_KNOWN:  # when the job was made; since then whoever made it has looked at this worker's
        here["device"] = NOT_KNOWN
    others = differences(wanted, here)
    if others:
        told = "; ".join(
            each.replace("the folder has", "the run has").replace("this run", "this worker") for each in others
        )
        raise NotThisWorkerError(f"for {cell.editor.name} on {cell.benchmark.name} {told}")
