"""`mmke bench --stream`: many edits in one model, on our side and in the plain loop, on the same records.

In: a `BenchRequest` with the settings of a stream. Out: a `MeasuredStream` for each editor and benchmark. Both sides
ask every scored record of the unedited model first, as `mmke stream` does, then make the edits and ask in between. The
plain loop asks the whole model, every probe, at every checkpoint, and keeps nothing. As it takes minutes where ours
takes seconds, it may make the first edits of the stream only, and ask right away and once more behind the last of
them; nothing is scaled up to the rest. Signs of collapse are not looked for and sessions are not saved, on both sides.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore, store_for
from mmke.benchmarks.open import open_benchmark
from mmke.editors.none.edit import prepare_for
from mmke.errors import UserError
from mmke.protocols import Editor, Store
from mmke.results.finished import FinishedRecord
from mmke.results.rows import RecordKey
from mmke.results.saved_session import Origin
from mmke.results.steps import STEPS, StepRecord
from mmke.results.timings import Timing
from mmke.running.devices import resolve_device
from mmke.running.journal import Journal
from mmke.running.loop import Task, run
from mmke.running.memory import release
from mmke.running.planning import Cell, plan_benchmark
from mmke.running.request import FLOOR, Request, check_request
from mmke.running.schedule import Examine, Save, scores
from mmke.running.stream_settings import DEFAULT_TESTS
from mmke.types import PROTOCOLS, Benchmark, EditCase, ScoreRow
from mmke_bench.bench import BenchRequest, Pair, lay_out, load_side, looping, own, settings_for
from mmke_bench.measured_stream import MeasuredStream, StreamSide
from mmke_bench.memory import limit_memory
from mmke_bench.plain import PlainBackbone
from mmke_bench.sides import SideName
from mmke_bench.workload import repeat, resize

TOLD_EVERY = 50
"""Records between two lines on the progress."""


class StreamPair(NamedTuple):
    """One editor on one benchmark: the whole stream, the plain loop's part of it, and what the records are."""

    whole: Pair
    part: Pair
    workload: str


def measure_streams(order: BenchRequest, *, tell: Callable[[str], None] = lambda _: None) -> Iterator[MeasuredStream]:
    """Measure every editor on every benchmark.

    Raises:
        UserError: as a stream does, and for everything before the first measurement; or the GPU has too little memory.
    """
    pairs = resolve_streams(order)
    device = resolve_device(order.request.device)
    if order.gib is not None:
        limit_memory(device, order.gib)
    for pair in pairs:
        sides = {}
        for name in order.sides:
            cells = pair.part if name == "plain" else pair.whole
            sides[name] = _measure_side(order, cells, name, tell)
        yield MeasuredStream(pair.whole.cell.editor.name, pair.whole.cell.benchmark.name, pair.workload, sides)


def resolve_streams(order: BenchRequest) -> list[StreamPair]:
    """Resolve everything but the weights.

    Raises:
        UserError: an unknown name, a wrong setting or number, broken data, an editor that edits nothing.
    """
    request = replace(order.request, changes=settings_for(order), untrained=True)
    check_request(request)
    if FLOOR in (request.editors or ()):
        raise UserError(f"--editor {FLOOR} edits nothing; every stream begins with the unedited model's answers anyway")
    return [pair for name in dict.fromkeys(request.benchmarks) for pair in _on_benchmark(order, request, name)]


def _on_benchmark(order: BenchRequest, request: Request, name: str) -> Iterator[StreamPair]:
    benchmark = open_benchmark(name, data=request.data)
    records = len(benchmark.load("eval", hop=request.hop, switches=PROTOCOLS[request.protocol]).cases)
    benchmark = resize(benchmark, order.words) if order.words else benchmark
    stream = request.stream
    if stream is None:
        raise ValueError("the request has no stream")
    stream = replace(stream, tests=min(DEFAULT_TESTS, records) if stream.tests is None else stream.tests or records)
    needed = (stream.tests or 0) + max(stream.moments.gaps, default=0) + stream.distract
    workload = f"{min(needed, records)} records of {name}"
    if needed > records:
        benchmark = repeat(benchmark, needed)
        workload += (
            f", repeated with other wording to {needed}; their pictures recur, so that the image encoder sees each once"
        )
    part = replace(stream, tests=min(order.plain_tests, stream.tests or 0), score="right,end")
    whole, some = (_cells(replace(request, stream=each), benchmark) for each in (stream, part))
    for editor in request.editors or ():
        yield StreamPair(Pair(whole[FLOOR], whole[editor]), Pair(some[FLOOR], some[editor]), workload)


def _cells(request: Request, benchmark: Benchmark) -> dict[str, Cell]:
    """Return the cells of a stream by editor."""
    cells = plan_benchmark(request, benchmark, request.editor_names(), left_out=set())
    return {cell.editor.name: cell for cell in cells}


def _measure_side(order: BenchRequest, pair: Pair, name: SideName, tell: Callable[[str], None]) -> StreamSide:
    backbone, loaded = load_side(order.request, pair.cell.editor, name)
    device = backbone.device
    looped = looping(backbone, pair.cell.editor, name)
    pair = own(pair)
    lay_out(pair.cell, backbone, looped)
    store = MemoryStore(0) if name == "plain" else store_for(device, on_disk=order.request.on_disk)
    told = _Telling(f"{name} {pair.cell.editor.name} {pair.cell.benchmark.name}", tell, order.seconds)
    floor = _work(looped, prepare_for(pair.floor.editor, [pair.cell.editor]), pair.floor, store, told)
    with registry.named("editors", pair.cell.editor.name):
        stream = _work(looped, pair.cell.editor, pair.cell, store, told)
    side = StreamSide(
        loaded=loaded,
        schedule=pair.cell.schedule.name,
        whole=floor.whole and stream.whole,
        settings=pair.cell.schedule.described() or {},
        floor_seconds=floor.seconds,
        stream_seconds=stream.seconds,
        floor=floor.records,
        records=stream.records,
        steps=stream.steps,
    )
    del backbone, looped, pair, store
    release(device)
    return side


class _TimeIsUpError(Exception):
    """Ends a side's stream; what was measured so far counts."""


@dataclass
class _Telling:
    """Says from time to time how far it is, and ends it when its time is up."""

    what: str
    tell: Callable[[str], None]
    most: float | None
    begin: float = field(default_factory=time.perf_counter)

    def __call__(self, records: Sequence[FinishedRecord], steps: Sequence[StepRecord]) -> None:
        if self.most is not None and time.perf_counter() - self.begin > self.most:
            raise _TimeIsUpError
        if len(records) % TOLD_EVERY == 0 and records[-1].timing is not None:
            seconds = records[-1].timing.seconds["after"]
            edits = f"{len(steps)} edits, the last {steps[-1].seconds:.3f} s; " if steps else "the floor; "
            self.tell(f"{self.what}: {edits}{len(records)} records asked, the last {seconds:.3f} s")


@dataclass
class _Records:
    """A keeper in memory, in place of a run's folder."""

    steps: Sequence[StepRecord]
    told: _Telling
    done: frozenset[RecordKey] = frozenset()
    records: list[FinishedRecord] = field(default_factory=list)

    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Keep one record."""
        del case
        self.records.append(FinishedRecord(RecordKey.of(rows[0]), tuple(rows), timing))
        self.told(self.records, self.steps)


class _Worked(NamedTuple):
    whole: bool
    seconds: float
    records: Sequence[FinishedRecord]
    steps: Sequence[StepRecord]


def _work(
    backbone: ComposedBackbone | PlainBackbone, editor: Editor, cell: Cell, store: Store, told: _Telling
) -> _Worked:
    """Work off one cell's stream, by the same loop as a run."""
    with tempfile.TemporaryFile() as file:
        journal = Journal(Path(), Origin("", "", "", ""), frozenset(), [], set(), None, {STEPS: file})
        kept = _Records(journal.steps, told)
        task = Task(
            backbone=backbone,
            editor=editor,
            events=[event for event in cell.events if not isinstance(event, Examine | Save)],
            metrics=cell.metrics,
            floor=None,
            store=store,
            seed=0,
            schedule=cell.schedule.name,
            order_seed=cell.schedule.order_seed,
            journal=journal,
        )
        begin = time.perf_counter()
        try:
            run(task, kept)
        except _TimeIsUpError:
            told.tell(f"{told.what}: ended after {told.most:g} s, {len(journal.steps)} edits")
        if backbone.device.type == "cuda":
            torch.cuda.synchronize(backbone.device)
        seconds = time.perf_counter() - begin
    if isinstance(backbone, PlainBackbone):
        backbone.log.clear()
    return _Worked(len(kept.records) == len(scores(cell.events)), seconds, kept.records, journal.steps)
