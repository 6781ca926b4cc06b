"""From a request to a plan: names, settings, data and editors are resolved before any weights are read.

In: a `Request`. Out: a `Plan`, whose cells say which editor is run on which records, with which settings and metrics.
"""

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmke.abilities.question import Suite
from mmke.abilities.suites import draw
from mmke.benchmarks.gaps import first_records, gaps
from mmke.benchmarks.open import open_benchmark
from mmke.errors import BrokenPluginError, NeedsTrainingError, UserError
from mmke.protocols import Editor
from mmke.results.rows import RecordKey
from mmke.results.shard import Shard, check_shard
from mmke.running.arranging import arrange
from mmke.running.devices import check_dtype, resolve_devices, resolve_dtype
from mmke.running.distracting import digest_of, distractors
from mmke.running.editors import NO_OVERLAP, Overlap, find_overlap, make_editor
from mmke.running.metrics import check_columns, check_scored, make_metrics
from mmke.running.probes import with_probes
from mmke.running.request import FLOOR, Request, check_request
from mmke.running.schedule import Apply, Event, Examine, Schedule, Score, Single, record_key, remaining, scores
from mmke.running.shards.dealing import StreamName, cases_of, streams_of
from mmke.types import PROTOCOLS, Benchmark, EditCase, Metric, ProbeKind, Split, Switches

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cell:
    """One editor on one benchmark, resolved.

    Attributes:
        benchmark: opened.
        split: the evaluation records that are used, and those that were dropped.
        editor: made of its settings; a trained one has no networks yet.
        metrics: what is scored.
        settings: of the editor, resolved.
        switches: of the protocol, as they hold for this editor.
        available: number of evaluation records without a limit.
        data_revision: of the annotations and of the pictures.
        schedule: in which order edits and questions come.
        events: the schedule, worked out for these records.
        checkpoint: of a trained editor.
        overlap: of the evaluation records with those that the checkpoint was trained on.
        suites: of abilities that are asked at a stream's checkpoints.
    """

    benchmark: Benchmark
    split: Split
    editor: Editor
    metrics: tuple[Metric, ...]
    settings: Mapping[str, Any]
    switches: Switches
    available: int
    data_revision: str
    schedule: Schedule
    events: tuple[Event, ...]
    checkpoint: Path | None = None
    overlap: Overlap = NO_OVERLAP
    suites: tuple[Suite, ...] = ()

    @property
    def keys(self) -> tuple[RecordKey, ...]:
        """Return the records that it writes, in the order in which they are written."""
        return tuple(record_key(event, self.schedule) for event in scores(self.events))

    @property
    def streamed(self) -> bool:
        """Whether its session goes on from case to case; the floor's has nothing to go on from."""
        return self.schedule.described() is not None and self.editor.name != FLOOR

    def without(self, keys: Collection[RecordKey]) -> "Cell":
        """Return the cell without some of its records, with the edits that the others need."""
        done = frozenset(keys)

        def is_done(event: Score | Examine) -> bool:
            return isinstance(event, Score) and record_key(event, self.schedule) in done

        return replace(self, events=tuple(remaining(self.events, is_done)))

    @property
    def limited(self) -> bool:
        """Whether the limit leaves records out."""
        return len(self.split.cases) < self.available

    def text(self) -> str:
        """Say how many records are used and dropped, what was noticed in them, and what they cannot be asked."""
        used, dropped = len(self.split.cases), len(self.split.dropped)
        lines = [*self.split.notes, *gaps(self.split.cases)]
        return "\n  ".join([f"{used} of {self.available} records, {dropped} dropped", *lines])


@dataclass(frozen=True)
class Plan:
    """A request whose names, settings and data are resolved.

    Attributes:
        request: what the user asked for.
        cells: what is to be done; of a shard those cells that have records in it, with these records alone.
        whole: the cells of all shards, with all records.
    """

    request: Request
    cells: tuple[Cell, ...]
    whole: tuple[Cell, ...] = ()

    @property
    def records(self) -> int:
        """How many records are written, the floor's included."""
        return sum(len(scores(cell.events)) for cell in self.cells)


def plan(request: Request) -> Plan:
    """Resolve everything but the weights.

    Raises:
        UserError: an unknown name, a wrong setting, broken data, no such device or dtype.
    """
    check_request(request)
    devices = resolve_devices(request.device, elsewhere=request.elsewhere)
    if not request.elsewhere:
        check_dtype(resolve_dtype(request.dtype), *devices)
    editors = request.editor_names()
    cells: list[Cell] = []
    left_out: set[str] = set()
    for name in dict.fromkeys(request.benchmarks):
        benchmark = open_benchmark(name, data=request.data)
        if any(cell.benchmark.name == benchmark.name for cell in cells):
            raise UserError(
                f"two benchmarks are called {benchmark.name!r}, one of them {name}, and results are kept by name; "
                "rename a file, or run them one by one into two --out"
            )
        cells += plan_benchmark(request, benchmark, editors, left_out=left_out)
    for name, checkpoint in dict.fromkeys((cell.editor.name, cell.checkpoint) for cell in cells):
        if checkpoint is not None and name not in request.checkpoints:
            logger.info("%s: with the checkpoint %s", name, checkpoint)
    whole = tuple(cells)
    return Plan(request, whole if request.shard is None else tuple(_dealt(whole, request.shard)), whole)


def _dealt(cells: Sequence[Cell], shard: Shard) -> Iterator[Cell]:
    """Yield the cells of a shard: single edits with its records alone; streams whole, each with its floor."""
    check_shard(shard)
    if any(cell.schedule.described() is not None for cell in cells):
        names = [StreamName(cell.benchmark.name, cell.editor.name) for cell in cells]
        yield from (cells[place] for place in sorted(streams_of(names, shard)))
        return
    for cell in cells:
        keys = cell.keys
        cases = cases_of([key.case_id for key in keys], shard)
        part = cell.without([key for key in keys if key.case_id not in cases])
        if part.events:
            yield part


def plan_benchmark(
    request: Request, benchmark: Benchmark, editors: Sequence[str], *, left_out: set[str]
) -> Iterator[Cell]:
    """Make a cell of each editor on one benchmark; those that cannot be made are told once and left out.

    Raises:
        UserError: a wrong setting, or an editor that was asked for and cannot be made of this benchmark.
    """
    switches = PROTOCOLS[request.protocol]
    split = benchmark.load("eval", hop=request.hop, switches=switches)
    train = benchmark.load("train", hop=0, switches=switches).cases
    split = with_probes(split, train, request, benchmark=benchmark.name)
    limited = first_records(split, request.limit, counting_dropped=switches.limit_counts == "all records")
    if not limited.cases and limited.dropped:
        raise UserError(
            f"{benchmark.name}: under {request.protocol} --limit {request.limit} counts the records of the file, and "
            f"none of the first {request.limit} is used ({limited.dropped[0].reason}); take a larger --limit, or 0"
        )
    arranged = list(_schedules(request, benchmark.name, limited, train))
    suites = [_suites(request, schedule) for schedule, _ in arranged]
    revision = f"{benchmark.revision}+{_pictures(split.cases)}"
    for name in editors:
        try:
            made = make_editor(request, name, benchmark.name, train=train)
        except (NeedsTrainingError, BrokenPluginError) as error:
            if request.editors:
                raise
            if name not in left_out:
                level = logging.WARNING if isinstance(error, BrokenPluginError) else logging.INFO
                logger.log(level, "%s: left out (%s)", name, error)
            left_out.add(name)
            continue
        switches = made.switches
        if request.stream is not None:
            # Which record came before is a matter of the order there: locality compares with the unedited model.
            switches = replace(switches, reference="base")
        metrics = tuple(_metrics(request, switches, split.kinds))
        check_scored(metrics, split.kinds, benchmark.name)
        check_columns(metrics, split.kinds)
        for (schedule, cases), asked in zip(arranged, suites, strict=True):
            yield Cell(
                benchmark,
                replace(limited, cases=cases, notes=(*limited.notes, *schedule.notes)),
                made.editor,
                metrics,
                made.settings,
                switches,
                len(split.cases),
                revision,
                schedule.unedited() if name == FLOOR else schedule,
                tuple(_events(schedule, name, metrics)),
                made.checkpoint,
                find_overlap(made, cases),
                () if name == FLOOR else asked,
            )


def _suites(request: Request, schedule: Schedule) -> tuple[Suite, ...]:
    """Return what is asked of abilities at a stream's checkpoints; nothing about what its edits show."""
    if request.abilities is None:
        return ()
    applied = (event for event in schedule.events(previous=False) if isinstance(event, Apply))
    suites, missing = draw(request.abilities, [edit for each in applied for case in each.cases for edit in case.edits])
    if missing is not None:
        logger.info("%s", missing)
    return suites


def _schedules(
    request: Request, benchmark: str, split: Split, train: Sequence[EditCase]
) -> Iterator[tuple[Schedule, tuple[EditCase, ...]]]:
    """Yield the schedules of a request on one benchmark, each with the records that it edits."""
    if request.stream is None:
        yield Single(split.cases), split.cases
        return
    # Training records are no partners that a stream of evaluation records could edit, though their ids look alike.
    settings = request.stream if request.partners == "eval" else replace(request.stream, hold_out="none")
    if settings.distract_from is not None:
        train = distractors(settings, data=request.data, protocol=request.protocol)
        settings = replace(settings, distract_from=digest_of(train))
    for seed in request.order_seeds:
        stream = arrange(
            settings,
            split.cases,
            train,
            order_seed=seed,
            benchmark=benchmark,
            fills_up=request.protocol == "paper",
        )
        yield stream, stream.cases


def _metrics(request: Request, switches: Switches, kinds: Iterable[ProbeKind]) -> list[Metric]:
    """Return what is scored.

    In a stream the references of all cases are kept to the end, so that what needs the probabilities of the whole
    vocabulary is scored there only when it is named.
    """
    made = make_metrics(switches, names=request.metrics, generate=request.generate, kinds=kinds)
    return [metric for metric in made if request.metrics or request.stream is None or not metric.ask.logprobs]


def _events(schedule: Schedule, editor: str, metrics: Sequence[Metric]) -> Sequence[Event]:
    """Return what a schedule does under an editor."""
    if editor == FLOOR:
        return schedule.floor()
    return schedule.events(previous=any(metric.reference == "previous edit" for metric in metrics))


def _pictures(cases: Sequence[EditCase]) -> str:
    """Return a digest of all pictures that a split asks about: a picture that was replaced is other data."""
    seen = {probe.query.image.sha256 for case in cases for probe in case.probes if probe.query.image}
    return hashlib.sha256("".join(sorted(seen)).encode()).hexdigest()[:16]
