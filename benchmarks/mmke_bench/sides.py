"""One side of a comparison: a loaded backbone edits and scores records, and each record is timed.

In: a backbone, plain or not, and the cells of the floor and of an editor. Out: a `Lap` for each record. The floor is
run before each record and timed by itself. What the unedited model computes for it is then in our side's store, while
the plain loop stores nothing. (A run does the floor of the whole benchmark first, and stores as much of it as fits.)
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editors.none.edit import prepare_for
from mmke.results.rows import RecordKey
from mmke.results.timings import Phase, Timing
from mmke.running.loop import Task, run
from mmke.running.memory import forget_peaks, peaks
from mmke.running.planning import Cell
from mmke.running.schedule import Single
from mmke.types import EditCase, ScoreRow
from mmke_bench.plain import Forward, PlainBackbone

SideName = Literal["plain", "mmke"]
Clock = Literal["wall", "cpu"]


@dataclass
class Rows:
    """A keeper in memory, in place of a run's folder."""

    done: frozenset[RecordKey] = frozenset()
    rows: list[ScoreRow] = field(default_factory=list)
    timing: Timing | None = None

    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Keep one record."""
        self.rows += rows
        self.timing = timing


@dataclass(frozen=True)
class Cost:
    """What one pass over a record took.

    Attributes:
        wall: wall-clock seconds.
        cpu: processor seconds.
        phases: wall-clock seconds of each phase.
        peaks: peak memory in bytes, by kind (`memory.peaks`).
    """

    wall: float
    cpu: float
    phases: Mapping[Phase, float]
    peaks: Mapping[str, int]


@dataclass(frozen=True)
class Lap:
    """One record on one side.

    Attributes:
        floor: cost of the floor; None where the editor is the floor.
        edit: cost of the editor.
        rows: of the editor.
        floor_log: the plain loop's forward passes for the floor.
        log: those for the editor.
    """

    floor: Cost | None
    edit: Cost
    rows: Sequence[ScoreRow] = ()
    floor_log: Sequence[Forward] = ()
    log: Sequence[Forward] = ()

    @property
    def costs(self) -> list[Cost]:
        """The passes that were made."""
        return [self.edit] if self.floor is None else [self.floor, self.edit]

    def seconds(self, clock: Clock, *, floor: bool = False) -> float:
        """Return what the record took, with the floor or without it."""
        return sum(cost.wall if clock == "wall" else cost.cpu for cost in (self.costs if floor else [self.edit]))

    def data(self) -> dict[str, Any]:
        """Return the figures, without rows and passes."""
        return {"floor": None if self.floor is None else asdict(self.floor), "edit": asdict(self.edit)}


@dataclass(frozen=True)
class Side:
    """A loaded backbone, cut or not, with the floor's cell and the editor's (which may be the same)."""

    backbone: ComposedBackbone | PlainBackbone
    floor: Cell
    cell: Cell

    def run(self, case: EditCase) -> Lap:
        """Edit and score one record."""
        store = MemoryStore()
        before = replace(self.floor, editor=prepare_for(self.floor.editor, [self.cell.editor]))
        floor = None if self.floor is self.cell else self._timed(before, case, store)[0]
        floor_log = self._take_log()
        edit, rows = self._timed(self.cell, case, store)
        return Lap(floor, edit, rows, floor_log, self._take_log())

    def _take_log(self) -> tuple[Forward, ...]:
        if not isinstance(self.backbone, PlainBackbone):
            return ()
        taken = tuple(self.backbone.log)
        self.backbone.log.clear()
        return taken

    def _timed(self, cell: Cell, case: EditCase, store: MemoryStore) -> tuple[Cost, list[ScoreRow]]:
        kept, device = Rows(), self.backbone.device
        events = Single([case]).events(previous=False)
        work = Task(self.backbone, cell.editor, events, cell.metrics, None, store, 0)
        forget_peaks(device)
        wall, cpu = time.perf_counter(), time.process_time()
        run(work, kept)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if kept.timing is None:
            raise RuntimeError(f"record {case.id} was not written")
        return Cost(wall, cpu, kept.timing.seconds, _peaks(kept.timing, peaks(device))), kept.rows


def _peaks(timing: Timing, since: Mapping[str, int]) -> Mapping[str, int]:
    """Return the highest peak over a record's phases, since each phase resets the counter."""
    kinds = {kind: [peak._asdict()[kind] for peak in timing.peaks.values()] for kind in since}
    return {kind: max([since[kind], *values]) for kind, values in kinds.items()} if timing.peaks else since
