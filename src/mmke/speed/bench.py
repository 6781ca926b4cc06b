"""`mmke bench`: the plain loop and ours on the same records in one process, side by side.

Both sides run the floor (the unedited model) and then the editor, as every run does. One side does all its records
before the other is loaded, so that the memory of each is its own. The plain loop's precision is that of the published code: float32 under fine-tuning, else half. The bound of a ratio is the
operations of the plain loop over those that the work needs (`counting.py`); where the two sides differ in precision, or
large products run at a better rate than small ones, a ratio can pass it.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, NamedTuple

import torch

from mmke.backbones.composed import ComposedBackbone
from mmke.benchmarks.open import open_benchmark
from mmke.editors.settings import resolve
from mmke.running.devices import device_name, dtype_name, resolve_device
from mmke.running.run import FLOOR, PlannedCell, Request, load, plan, plan_benchmark
from mmke.speed.ceilings import Ceilings, measure_ceilings
from mmke.speed.counting import Shapes, shapes
from mmke.speed.plain import PlainBackbone
from mmke.speed.sides import Lap, Side, SideName, operations, peak_memory, release
from mmke.speed.workload import Resized
from mmke.types import UserError

GIB = 1 << 30


@dataclass(frozen=True)
class Order:
    """What is to be timed.

    Attributes:
        request: backbone, one editor, one benchmark, protocol, device, …; its limit is the number of records.
        words: of each description; 0: as they are.
        sides: which loops.
        settings_of: the backbone whose shipped settings the editors take; None: their own.
        gib: the most memory of the card that may be taken; None: all.
        warm: records before those that are timed.
    """

    request: Request
    words: int = 0
    sides: tuple[SideName, ...] = ("plain", "mmke")
    settings_of: str | None = None
    gib: float | None = None
    warm: int = 0


class Agreement(NamedTuple):
    """How far the rows of two sides are apart: rows, those whose ids differ, the widest gap of a log-probability."""

    rows: int
    other_ids: int
    gap: float


@dataclass(frozen=True)
class Measured:
    """One editor on one benchmark, both sides."""

    editor: str
    benchmark: str
    load: Mapping[SideName, Mapping[str, Any]]
    laps: Mapping[SideName, Sequence[Lap]]
    counts: Sequence[Mapping[str, int]]
    counts_with_floor: Sequence[Mapping[str, int]]
    ceilings: Ceilings | None

    def seconds(self, side: SideName, clock: str, *, floor: bool = False) -> float:
        """Return the median over the records."""
        return statistics.median(lap.seconds(clock, floor=floor) for lap in self.laps[side])

    def phase(self, side: SideName, name: str) -> float:
        """Return a phase's median seconds on the wall."""
        laps = self.laps[side]
        if name == "floor":
            return statistics.median(lap.floor.wall for lap in laps)
        if name == "edit":
            return statistics.median(lap.edit.phases["edit"] for lap in laps)
        return statistics.median(lap.edit.phases["before"] + lap.edit.phases["after"] for lap in laps)

    def peak(self, side: SideName, kind: str) -> int:
        """Return the most bytes in any phase of any record."""
        phases = [peaks for lap in self.laps[side] for cost in (lap.floor, lap.edit) for peaks in cost.peaks.values()]
        return max((peaks[kind] for peaks in phases), default=max(lap.peak for lap in self.laps[side]))

    def ratio(self, clock: str, *, floor: bool = False) -> float | None:
        """Return how many times as fast ours was, as the median over records; None without both sides."""
        if len(self.laps) < 2:
            return None
        pairs = zip(self.laps["plain"], self.laps["mmke"], strict=True)
        return statistics.median(a.seconds(clock, floor=floor) / b.seconds(clock, floor=floor) for a, b in pairs)

    def bound(self, *, floor: bool = False) -> float | None:
        """Return the operations of the plain loop over those that the work needs."""
        counts = self.counts_with_floor if floor else self.counts
        return statistics.median(count["plain"] / count["needed"] for count in counts) if counts else None

    def shared(self) -> tuple[int, int] | None:
        """Return how many long prompts a record asks, and behind how many distinct pictures; None without the plain side.

        What an editor that edits the prompt puts before the questions is read once for each picture.
        """
        if "plain" not in self.laps:
            return None
        log = self.laps["plain"][0].log
        longest = max(len(each.encoded.keys) for each in log)
        long = [each for each in log if len(each.encoded.keys) > longest / 2]
        return len(long), len({each.image for each in long})

    def floor_seconds(self) -> float | None:
        """Return the least time that the needed operations take at the card's measured rate."""
        if self.ceilings is None or not self.counts:
            return None
        return statistics.median(count["needed"] for count in self.counts) / self.ceilings.multiply_adds

    @property
    def agreement(self) -> Agreement | None:
        """Compare the rows of both sides."""
        if len(self.laps) < 2:
            return None
        pairs = [
            (one.after, other.after)
            for a, b in zip(self.laps["plain"], self.laps["mmke"], strict=True)
            for one, other in zip(a.rows, b.rows, strict=True)
        ]
        said = [(one, other) for one, other in pairs if one is not None and other is not None]
        gaps = [abs(a.target_logprob - b.target_logprob) for a, b in said if a.target_logprob and b.target_logprob]
        return Agreement(len(said), sum(a.ids != b.ids for a, b in said), max(gaps, default=0.0))

    def data(self) -> dict[str, Any]:
        """Return everything measured, without the rows."""
        agreement = self.agreement
        return {
            "editor": self.editor,
            "benchmark": self.benchmark,
            "load": self.load,
            "ratio": self.ratio("wall"),
            "ratio_with_floor": self.ratio("wall", floor=True),
            "bound": self.bound(),
            "bound_with_floor": self.bound(floor=True),
            "floor_seconds": self.floor_seconds(),
            "ceilings": None if self.ceilings is None else self.ceilings._asdict(),
            "agreement": None if agreement is None else agreement._asdict(),
            "laps": {side: [lap.data() for lap in laps] for side, laps in self.laps.items()},
            "operations": list(self.counts),
        }


def measure(order: Order, *, tell: Callable[[str], None] = lambda _: None) -> Iterator[Measured]:
    """Time every editor of an order on every benchmark of it.

    Raises:
        UserError: as a run does; or the card has less memory than the limit names.
    """
    request = order.request
    device = resolve_device(request.device)
    if order.gib is not None:
        limit_memory(device, order.gib)
    ceilings = measure_ceilings(device) if device.type == "cuda" else None
    release(device)
    for editor in request.editors or ():
        for benchmark in request.benchmarks:
            one = replace(request, editors=(editor,), benchmarks=(benchmark,), changes=_changes(order, editor))
            yield _measure(replace(order, request=one), ceilings, tell)


def limit_memory(device: torch.device, gib: float) -> None:
    """Let this process take no more of a card's memory than a smaller card has.

    Raises:
        UserError: the device is no card, or has less.
    """
    if device.type != "cuda":
        raise UserError(f"--memory {gib}: {device} is no card; its memory cannot be limited")
    total = torch.cuda.get_device_properties(device).total_memory
    if gib * GIB > total:
        raise UserError(f"--memory {gib}: {device} has {total / GIB:.1f} GiB")
    torch.cuda.set_per_process_memory_fraction(gib * GIB / total, device)


def facts(order: Order) -> dict[str, Any]:
    """Return what a published figure carries: the command, the device, the versions."""
    return {
        "command": sys.argv,
        "device": device_name(resolve_device(order.request.device)),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("torch", "transformers")}},
        "threads": torch.get_num_threads(),
        "words": order.words,
        "memory_limit_gib": order.gib,
        "weights": str(order.request.weights),
    }


def _changes(order: Order, editor: str) -> Mapping[str, Mapping[str, Any]]:
    return {editor: resolve(editor, order.settings_of or order.request.backbone, order.request.changes.get(editor, {}))}


def _measure(order: Order, ceilings: Ceilings | None, tell: Callable[[str], None]) -> Measured:
    floor, cell = _cells(order)
    laps: dict[SideName, list[Lap]] = {}
    loads: dict[SideName, dict[str, Any]] = {}
    counts: list[dict[str, int]] = []
    with_floor: list[dict[str, int]] = []
    for name in order.sides:
        whole, loads[name] = _load(order, cell, name)
        side = Side(PlainBackbone(whole) if name == "plain" else whole, floor, cell)
        laps[name] = _run(order, side, cell, name, tell)
        if name == "plain":
            shape = shapes(whole)
            counts = [_count(lap, shape, cell, whole, floor=False) for lap in laps[name]]
            with_floor = [_count(lap, shape, cell, whole, floor=True) for lap in laps[name]]
        device = whole.device
        del side, whole
        release(device)
    return Measured(cell.editor.name, cell.benchmark.name, loads, laps, counts, with_floor, ceilings)


def _count(lap: Lap, shape: Shapes, cell: PlannedCell, backbone: Any, *, floor: bool) -> dict[str, int]:
    return operations([*lap.floor_log, *lap.log] if floor else lap.log, shape, cell, backbone)


def _cells(order: Order) -> tuple[PlannedCell, PlannedCell]:
    request = order.request
    if not order.words:
        planned = plan(request).cells
        return planned[0], planned[-1]
    benchmark = Resized(open_benchmark(request.benchmarks[0], data=request.data), order.words)
    editors = list(dict.fromkeys([FLOOR, *(request.editors or ())]))
    cells = list(plan_benchmark(request, benchmark, editors))
    return cells[0], cells[-1]


def _load(order: Order, cell: PlannedCell, side: SideName) -> tuple[ComposedBackbone, dict[str, Any]]:
    request = order.request
    trained = side == "plain" and cell.editor.name.startswith("ft-")
    begin = time.perf_counter()
    backbone: Any = load(replace(request, dtype="float32") if trained else request)
    if backbone.device.type == "cuda":
        torch.cuda.synchronize(backbone.device)
    cell.editor.check(backbone)
    figures = {"seconds": time.perf_counter() - begin, "dtype": dtype_name(backbone.dtype)}
    return backbone, {**figures, "reserved": peak_memory(backbone.device)}


def _run(order: Order, side: Side, cell: PlannedCell, name: SideName, tell: Callable[[str], None]) -> list[Lap]:
    laps = []
    for i, case in enumerate(cell.split.cases):
        lap = side.run(case)
        if i >= order.warm:
            laps.append(lap)
        tell(f"{name} {cell.editor.name} {cell.benchmark.name} record {case.id}: {lap.edit.wall:.3f} s")
    return laps
