"""`mmke bench`, the speed benchmark: the plain loop and `mmke` on the same records, one side after the other.

In: a `BenchRequest`. Out: a `Measured` for each editor and benchmark. Both sides run the floor (the unedited model) and
then the editor, record by record. An editor that is trained is trained for some steps first; then it edits with fresh
networks, since time and memory do not depend on their values. One side does all its records before the other is loaded,
so that the peak memory of each is its own. The plain loop's precision is that of the published code: float32 under
fine-tuning, else half. The bound of a ratio is the operations of the plain loop over those that the work needs
(`counting.py`). A ratio can be higher than its bound where the two sides differ in precision, or where large products
run at a better rate than small ones.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.objective import missing_probes
from mmke.editing.settings import resolve
from mmke.editing.weight_session import WeightEditor
from mmke.errors import UserError
from mmke.protocols import OUTPUT, Cut, Editor, TrainableEditor
from mmke.running.devices import device_name, dtype_name, resolve_device
from mmke.running.loading import load
from mmke.running.memory import forget_peaks, peaks, release
from mmke.running.planning import Cell, plan, plan_benchmark
from mmke.running.request import FLOOR, Request
from mmke.training.loop import out_of_memory
from mmke.types import EditCase
from mmke_bench.ceilings import Ceilings, measure_ceilings
from mmke_bench.counting import Count, count, is_counted, shapes
from mmke_bench.counting_trained import Trained, count_trained
from mmke_bench.measured import Counts, Loaded, Measured
from mmke_bench.memory import limit_memory
from mmke_bench.plain import PlainBackbone
from mmke_bench.sides import Lap, Side, SideName
from mmke_bench.steps import Step, Trainer
from mmke_bench.workload import resize


@dataclass(frozen=True)
class BenchRequest:
    """What the user asked to measure.

    Attributes:
        request: backbone, editors, benchmarks, protocol, device, …; its limit is not used.
        records: of each benchmark that are measured.
        warm: records before those, to warm up.
        words: of each description; 0: as they are.
        steps: training steps that are measured, after one to warm up; 0: none. Only of editors that are trained.
        sides: which of the two.
        settings_of: the backbone whose shipped settings the editors take; None: those of their own backbone.
        gib: limit on the GPU's memory; None: no limit.
        plain_tests: of a stream, how many edits the plain loop makes.
        seconds: after which a side's stream ends, wherever it is; None: no limit.
    """

    request: Request
    records: int = 3
    warm: int = 0
    words: int = 0
    steps: int = 3
    sides: tuple[SideName, ...] = ("plain", "mmke")
    settings_of: str | None = None
    gib: float | None = None
    plain_tests: int = 3
    seconds: float | None = None


class Pair(NamedTuple):
    """An editor's cell, and that of the floor on the same benchmark: the same one for the floor itself."""

    floor: Cell
    cell: Cell


def measure(order: BenchRequest, *, tell: Callable[[str], None] = lambda _: None) -> Iterator[Measured]:
    """Measure every editor on every benchmark; `tell` is called with a line for every record.

    Raises:
        UserError: as a run does, and for everything before the first measurement; or the GPU has too little memory.
    """
    pairs = resolve_pairs(order)
    device = resolve_device(order.request.device)
    if order.gib is not None:
        limit_memory(device, order.gib)
    ceilings = measure_ceilings(device) if device.type == "cuda" else None
    release(device)
    for pair in pairs:
        yield _measure(order, pair, ceilings, tell)


def resolve_pairs(order: BenchRequest) -> list[Pair]:
    """Resolve everything but the weights.

    Raises:
        UserError: an unknown name, a wrong setting or number, broken data, fewer records than are to be timed.
    """
    _check_numbers(order)
    request = replace(order.request, limit=order.warm + order.records, changes=settings_for(order), untrained=True)
    cells = plan(request).cells
    if order.words:  # what `plan` checks holds for these as well
        cells = tuple(_resized(request, order.words))
    for cell in cells:
        if len(cell.split.cases) < request.limit:
            raise UserError(
                f"{cell.benchmark.name} has {len(cell.split.cases)} records, and {request.limit} are to be run "
                f"({order.warm} to warm up and {order.records} that count); take fewer: --records, --warm"
            )
    floors = {cell.benchmark.name: cell for cell in cells if cell.editor.name == FLOOR}
    wanted = order.request.editors or tuple(dict.fromkeys(cell.editor.name for cell in cells))
    return [Pair(floors[cell.benchmark.name], cell) for name in wanted for cell in cells if cell.editor.name == name]


def facts(order: BenchRequest, command: Sequence[str]) -> dict[str, Any]:
    """Return what has to be stated beside a figure: the command, the device, the versions."""
    return {
        "command": list(command),
        "device": device_name(resolve_device(order.request.device)),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("mmke", "torch", "transformers")}},
        "threads": torch.get_num_threads(),
        "backbone": order.request.backbone,
        "weights": None if order.request.weights is None else str(order.request.weights),
        "settings_of": order.settings_of,
        "words": order.words,
        "memory_limit_gib": order.gib,
    }


def _check_numbers(order: BenchRequest) -> None:
    for name, number, least in (
        ("--records", order.records, 1),
        ("--warm", order.warm, 0),
        ("--words", order.words, 0),
        ("--steps", order.steps, 0),
    ):
        if number < least:
            raise UserError(f"{name} {number}: give a number from {least} up")
    if order.settings_of is not None:
        registry.import_string("backbones", order.settings_of)


def settings_for(order: BenchRequest) -> Mapping[str, Mapping[str, Any]]:
    """Lay the user's changes over the settings of the backbone that was named."""
    request = order.request
    if order.settings_of is None:
        return request.changes
    names = dict.fromkeys([*(request.editors or registry.names("editors")), *request.changes])
    return {name: resolve(name, order.settings_of, request.changes.get(name, {})) for name in names}


def _resized(request: Request, words: int) -> Iterator[Cell]:
    editors = list(dict.fromkeys([FLOOR, *(request.editors or registry.names("editors"))]))
    for name in dict.fromkeys(request.benchmarks):
        yield from plan_benchmark(
            request, resize(open_benchmark(name, data=request.data), words), editors, left_out=set()
        )


def _measure(order: BenchRequest, pair: Pair, ceilings: Ceilings | None, tell: Callable[[str], None]) -> Measured:
    sides = {name: _measure_side(order, pair, name, tell) for name in order.sides}
    return Measured(
        pair.cell.editor.name,
        pair.cell.benchmark.name,
        {name: side.load for name, side in sides.items()},
        {name: side.laps for name, side in sides.items()},
        sides["plain"].counts if "plain" in sides else [],
        ceilings,
        {name: side.steps for name, side in sides.items() if side.steps},
        sides["plain"].step_counts if "plain" in sides else [],
    )


class _Measured(NamedTuple):
    """What was measured of one side, and for the plain one the number of operations."""

    load: Loaded
    laps: Sequence[Lap]
    steps: Sequence[Step]
    counts: Sequence[Counts]
    step_counts: Sequence[Counts]


def _measure_side(order: BenchRequest, pair: Pair, name: SideName, tell: Callable[[str], None]) -> _Measured:
    backbone, loaded = load_side(order.request, pair.cell.editor, name)
    plain = name == "plain"
    looped = looping(backbone, pair.cell.editor, name)
    steps = _train(order, own(pair).cell, backbone, looped, tell)
    release(backbone.device)
    # The sides make different numbers of steps; both edit with fresh networks, so that their rows can be compared.
    pair = own(pair)
    lay_out(pair.cell, backbone, looped)
    laps = _run(Side(looped, *pair), name, order.warm, tell)
    counts, step_counts = _count(laps, steps, backbone, pair.cell.editor) if plain else ([], [])
    device = backbone.device
    del backbone, looped, pair
    release(device)
    return _Measured(loaded, laps, steps, counts, step_counts)


def own(pair: Pair) -> Pair:
    """Return the pair with a copy of its editor, so that the copy's networks are freed with it."""
    if pair.floor is pair.cell:
        return pair
    return pair._replace(cell=replace(pair.cell, editor=copy(pair.cell.editor)))


def _train(
    order: BenchRequest, cell: Cell, backbone: ComposedBackbone, looped: ComposedBackbone | PlainBackbone, tell: Any
) -> list[Step]:
    """Measure training steps; none for an editor that is not trained."""
    if not isinstance(cell.editor, TrainableEditor) or not order.steps:
        return []
    cases = lay_out(cell, backbone, looped)
    steps = []
    try:
        for step in Trainer(cell.editor, looped, cell.switches).run(cases, order.steps + 1):
            steps.append(step)
            tell(
                f"{type(looped).__name__} {cell.editor.name} {cell.benchmark.name} step: {step.new.wall:.3f} s a record"
            )
    except torch.OutOfMemoryError as error:
        raise UserError(out_of_memory(cell.editor.name, backbone, "in the steps that are timed")) from error
    return steps[1:]


def lay_out(cell: Cell, backbone: ComposedBackbone, looped: ComposedBackbone | PlainBackbone) -> Sequence[EditCase]:
    """Lay out the networks of an editor that is trained, and return the records that it can be trained on.

    In the plain loop a second model of its own is a plain one as well.
    """
    if not isinstance(cell.editor, TrainableEditor):
        return []
    editor: Any = cell.editor
    train = cell.benchmark.load("train", hop=0, switches=cell.switches).cases
    cases = [case for case in train if case.edits and not missing_probes(case)]
    try:
        editor.prepare(backbone, cases[:1], store=MemoryStore())
    except torch.OutOfMemoryError as error:
        raise UserError(out_of_memory(editor.name, backbone, "while its networks are laid out")) from error
    if isinstance(looped, PlainBackbone) and editor.second_model is not None:
        editor.second_model = PlainBackbone(editor.second_model, looped.log, counterfactual=True)
    return cases


def looping(backbone: ComposedBackbone, editor: Editor, side: SideName) -> ComposedBackbone | PlainBackbone:
    """Return a loaded backbone as a side uses it."""
    whole_gradient = isinstance(editor, TrainableEditor) and editor.published.whole_gradient
    return PlainBackbone(backbone, whole_gradient=whole_gradient) if side == "plain" else backbone


def load_side(request: Request, editor: Editor, side: SideName) -> tuple[ComposedBackbone, Loaded]:
    """Load a side's backbone, the plain loop's in the precision of the published code."""
    device = resolve_device(request.device)
    release(device)
    forget_peaks(device)
    begin = time.perf_counter()
    in_full = side == "plain" and isinstance(editor, WeightEditor) and not isinstance(editor, TrainableEditor)
    backbone: Any = load(replace(request, dtype="float32") if in_full else request)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    loaded = Loaded(time.perf_counter() - begin, dtype_name(backbone.dtype), peaks(device))
    editor.check(backbone)
    return backbone, loaded


def _run(side: Side, name: SideName, warm: int, tell: Callable[[str], None]) -> list[Lap]:
    laps = []
    for case in side.cell.split.cases:
        laps.append(side.run(case))
        cell = f"{name} {side.cell.editor.name} {side.cell.benchmark.name}"
        tell(f"{cell} record {case.id}: {laps[-1].edit.wall:.3f} s")
    return laps[warm:]


def _count(
    laps: Sequence[Lap], steps: Sequence[Step], backbone: ComposedBackbone, editor: Any
) -> tuple[list[Counts], list[Counts]]:
    """Count the operations of the plain loop's records and training steps, as far as they are known."""
    cut: Cut = editor.cut(backbone) or OUTPUT
    if isinstance(editor, TrainableEditor):
        if editor.second_model is not None:  # a second model of other shapes
            return [], []
        reach = backbone.layers - (cut.layer or 0) % backbone.layers if cut.place == "mlp" else 1
        how: Callable[..., Count] = partial(count_trained, shape=shapes(backbone), work=Trained(reach))
    # Of an editor that trains something beside the model it is not known which layers a gradient crosses.
    elif is_counted(cut, backbone.layers) and not (cut == OUTPUT and _trains(laps)):
        how = partial(count, shape=shapes(backbone), cut=cut)
    else:
        return [], []
    records = [Counts(how(lap.log), how([*lap.floor_log, *lap.log])) for lap in laps]
    return records, [Counts(how(step.log), _with_asides(how, step)) for step in steps]


def _trains(laps: Sequence[Lap]) -> bool:
    return any(forward.step for lap in laps for forward in lap.log)


def _with_asides(how: Callable[..., Count], step: Step) -> Count:
    """Return the operations of a step that asks what no loss reads: the plain loop's grow, the needed ones do not."""
    alone = how(step.log)
    return alone._replace(plain=alone.plain + how(step.asides_log).plain)
