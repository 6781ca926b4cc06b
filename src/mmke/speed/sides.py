"""One side of a comparison: it loads its backbone and edits and scores records, and says what each cost.

The floor is run before each record, as in every run, and timed by itself: what the unedited model needed for it is then
there for our side, while the plain loop keeps nothing.
"""

import gc
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.protocols import OUTPUT, Cut
from mmke.results.timings import Timing
from mmke.running.run import PlannedCell
from mmke.running.single import Cell, run_cell
from mmke.speed.counting import Shapes, needed_operations, plain_operations
from mmke.speed.plain import Forward, PlainBackbone
from mmke.types import EditCase, ScoreRow

SideName = Literal["plain", "mmke"]


@dataclass
class Rows:
    """Takes the place of a run's folder: keeps rows and timings in memory."""

    done: frozenset[str] = frozenset()
    rows: list[ScoreRow] = field(default_factory=list)
    timing: Timing | None = None

    def append(self, case_id: str, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Keep one record."""
        self.rows += rows
        self.timing = timing


@dataclass(frozen=True)
class Cost:
    """What one pass over a record took.

    Attributes:
        wall: seconds on the wall.
        cpu: seconds of the processor.
        phases: seconds on the wall of each phase.
        peaks: on a card, bytes reserved and allocated in each phase.
    """

    wall: float
    cpu: float
    phases: dict[str, float]
    peaks: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Lap:
    """One record on one side: cost of the floor and of the editor, rows, peak of the process, plain forward passes."""

    floor: Cost
    edit: Cost
    rows: list[ScoreRow]
    peak: int
    floor_log: tuple[Forward, ...] = ()
    log: tuple[Forward, ...] = ()

    def seconds(self, clock: str, *, floor: bool = False) -> float:
        """Return what the record took, with the floor or without it."""
        taken: float = getattr(self.edit, clock) + (getattr(self.floor, clock) if floor else 0.0)
        return taken

    def data(self) -> dict[str, Any]:
        """Return the figures without the rows."""
        return {"floor": asdict(self.floor), "edit": asdict(self.edit), "peak": self.peak}


@dataclass(frozen=True)
class Side:
    """A loaded backbone, cut or not, with the cells to run."""

    backbone: ComposedBackbone | PlainBackbone
    floor: PlannedCell
    cell: PlannedCell

    def run(self, case: EditCase) -> Lap:
        """Edit and score one record."""
        forget_peaks(self.backbone.device)
        store, floor, floor_log = MemoryStore(), Cost(0.0, 0.0, {}, {}), ()
        if self.floor is not self.cell:
            floor, floor_log = self._timed(self.floor, case, store)[0], self._take_log()
        edit, rows = self._timed(self.cell, case, store)
        return Lap(floor, edit, rows, peak_memory(self.backbone.device), floor_log, self._take_log())

    def _take_log(self) -> tuple[Forward, ...]:
        if not isinstance(self.backbone, PlainBackbone):
            return ()
        taken = tuple(self.backbone.log)
        self.backbone.log.clear()
        return taken

    def _timed(self, cell: PlannedCell, case: EditCase, store: MemoryStore) -> tuple[Cost, list[ScoreRow]]:
        kept = Rows()
        wall, cpu = time.perf_counter(), time.process_time()
        work = Cell(self.backbone, cell.editor, [case], cell.metrics, None, store, 0)  # type: ignore[arg-type]
        run_cell(work, kept, on_record=lambda: None)  # type: ignore[arg-type]
        if kept.timing is None:
            raise RuntimeError(f"record {case.id} was not written")
        cost = Cost(
            wall=time.perf_counter() - wall,
            cpu=time.process_time() - cpu,
            phases=dict(kept.timing.seconds),
            peaks={phase: peak._asdict() for phase, peak in kept.timing.peaks.items()},
        )
        return cost, kept.rows


def operations(log: Sequence[Forward], shape: Shapes, cell: PlannedCell, backbone: Any) -> dict[str, int]:
    """Return the multiply-adds of the plain loop's passes, and those that the work needs."""
    cut: Cut = cell.editor.cut(backbone) if hasattr(cell.editor, "cut") else OUTPUT
    return {"plain": plain_operations(log, shape, cut), "needed": needed_operations(log, shape, cut)}


def release(device: torch.device) -> None:
    """Give a card's memory back to it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def forget_peaks(device: torch.device) -> None:
    """Begin to look for the peak anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():  # Linux
        clear.write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held since `forget_peaks`: reserved on the card, or resident in the process (Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
