"""From what a user asks to a training: names, data, sites, folders; then the loop."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from mmke import registry
from mmke.backbones.loading import WeightSource
from mmke.backbones.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editors import settings as editor_settings
from mmke.editors.trained import FOLDER, LAST, TrainedFor, check_fits, home, network_tensors, read
from mmke.protocols import Backbone, TrainableEditor
from mmke.running.run import Request, load, resolve_protocol
from mmke.training.loop import Run
from mmke.training.pace import Pace
from mmke.training.processes import find_processes
from mmke.training.splitting import hold_out, trainable
from mmke.types import EditCase, Switches, UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for; see `running.run.Request`.

    Attributes:
        editor: name of a trainable editor.
        backbone: name.
        benchmarks: whose training records are used, together.
        protocol: "strict" or "paper"; under `paper` the evaluation records validate, as published.
        changes: settings laid over the shipped ones.
        data: folder of benchmarks that are not embedded.
        out: where `<backbone>/<benchmarks>/<editor>/` is made.
        device: see `Request`, like the rest.
        dtype: see `device`.
        weights: see `device`.
        seed: of the fresh networks, the order and the held-out records.
    """

    editor: str
    backbone: str
    benchmarks: tuple[str, ...]
    protocol: str = "strict"
    changes: Mapping[str, Any] = field(default_factory=dict)
    data: Path | None = None
    out: Path = FOLDER
    device: str = "cpu"
    dtype: str | None = None
    weights: WeightSource = None
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """A training whose names, settings and data are resolved."""

    request: TrainRequest
    editor: TrainableEditor
    settings: Mapping[str, Any]
    switches: Switches
    cases: tuple[EditCase, ...]
    held: tuple[EditCase, ...]
    names: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Return where checkpoints and curves go."""
        return home(self.request.backbone, folder=self.request.out) / "+".join(self.names) / self.editor.name

    def pace(self) -> Pace:
        """Return the pace from its beginning."""
        published = self.request.protocol == "paper"
        return Pace(len(self.cases), self.editor.training, published, self.request.seed)


def plan(request: TrainRequest) -> Plan:
    """Resolve everything but the weights.

    Raises:
        UserError: an unknown name, a wrong setting, an editor that is not trained, no training records.
    """
    switches = resolve_protocol(request.protocol)
    registry.import_string("backbones", request.backbone)
    values = editor_settings.resolve(request.editor, request.backbone, request.changes)
    benchmarks = [open_benchmark(name, data=request.data) for name in dict.fromkeys(request.benchmarks)]
    loaded = [benchmark.load("train", hop=0, switches=switches).cases for benchmark in benchmarks]
    names = tuple(sorted(benchmark.name for benchmark in benchmarks))
    fit, unfit = trainable(list(chain.from_iterable(loaded)), " and ".join(names))
    if unfit:
        logger.info("%d training records lack a probe and are left out, the first %s", len(unfit), unfit[0].id)
    if request.protocol == "paper":
        chosen = [case for benchmark in benchmarks for case in benchmark.load("eval", hop=0, switches=switches).cases]
        cases, held = fit, trainable(chosen, " and ".join(names))[0]
    else:
        cases, held = hold_out(fit, seed=request.seed)
    # It is given what it is trained on alone: whatever it draws from records, none that validate are among them.
    editor = registry.factory("editors", request.editor)(values, switches, train=cases, seed=request.seed)
    if not isinstance(editor, TrainableEditor):
        raise UserError(f"{request.editor} is not trained: it edits as it is (mmke run --editor {request.editor})")
    planned = Plan(request, editor, values, switches, tuple(cases), tuple(held), names)
    if not planned.pace().steps:
        raise UserError(f"{request.editor} would be trained on no record: steps = {editor.training.steps}")
    return planned


def train(planned: Plan, *, on_step: Callable[[int], None] = lambda _: None) -> Path:
    """Train, from the last checkpoint if there is one, and return the best checkpoint.

    Raises:
        UserError: weights are missing, the folder holds a training with other settings, a loss is no number.
    """
    request, editor = planned.request, planned.editor
    processes = find_processes(request.device, accumulate=editor.training.accumulate, alone=editor.alone)
    backbone = load(
        Request(
            request.backbone,
            None,
            (),
            device=processes.device,
            dtype=request.dtype,
            weights=request.weights,
        )
    )
    editor.check(backbone)
    facts = TrainedFor(
        editor=editor.name,
        backbone=backbone.name,
        weights_revision=backbone.revision,
        benchmarks=planned.names,
        protocol=request.protocol,
        settings=planned.settings,
        seed=request.seed,
        records=0,
        figures={},
    )
    store = MemoryStore()
    _begin(planned, backbone, facts, store)
    run = Run(editor, backbone, planned.cases, planned.held, planned.pace(), facts, planned.folder, processes, store)
    return run.go(on_step=on_step)


def _begin(planned: Plan, backbone: Backbone, facts: TrainedFor, store: MemoryStore) -> None:
    """Lay the networks out: fresh, or as the last checkpoint has them."""
    last = planned.folder / LAST
    if not last.is_file():
        planned.editor.prepare(backbone, planned.cases, store=store)
        return
    kept = read(last)
    check_fits(last, kept.facts, editor=facts.editor, backbone=facts.backbone, settings=facts.settings)
    for what in ("protocol", "seed", "weights_revision"):
        there, here = getattr(kept.facts, what), getattr(facts, what)
        if there != here:
            raise UserError(f"{last} was trained with {what} {there!r}, and this is {here!r}; choose another --out")
    planned.editor.adopt(backbone, network_tensors(kept.tensors))
    logger.info("going on after %d records (%s)", kept.facts.records, last)


def expected(planned: Plan) -> int:
    """Return how many records will be trained on when nothing ends it early."""
    return planned.pace().steps


def reached(planned: Plan) -> int:
    """Return how many records an earlier start has trained on."""
    last = planned.folder / LAST
    return read(last).facts.records if last.is_file() else 0
