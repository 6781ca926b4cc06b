"""`mmke train`: from the user's request to a training.

In: a `TrainRequest`. `plan` resolves names, settings, records and processes, without reading weights; `train` checks
the edit sites, opens the folder, loads the backbone and runs the loop. Out: the path of `best.safetensors`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmke import registry
from mmke.backbones.engine.cards import cards_of
from mmke.backbones.engine.replay import deterministic
from mmke.backbones.engine.store import HostStore
from mmke.benchmarks.digests import among, record_digests
from mmke.benchmarks.open import open_benchmark
from mmke.editing import settings as editor_settings
from mmke.editing.trained import (
    BEST,
    FOLDER,
    LAST,
    Checkpoint,
    TrainedFor,
    check_fits,
    home,
    network_tensors,
    read,
    read_facts,
)
from mmke.errors import UserError
from mmke.protocols import Backbone, TrainableEditor
from mmke.results.locks import locked
from mmke.running import beforehand
from mmke.running.loading import load
from mmke.running.request import Request, check_seed, check_writable, resolve_protocol
from mmke.training import recording
from mmke.training.last_checkpoint import digest
from mmke.training.loop import TrainingLoop, out_of_memory
from mmke.training.processes import Processes, find_processes
from mmke.training.progress import Progress
from mmke.training.splitting import hold_out, trainable
from mmke.types import Ask, Benchmark, EditCase, Switches, WeightSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for; see `running.request.Request`.

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
        elsewhere: see `device`.
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
    elsewhere: bool = False


@dataclass(frozen=True)
class TrainingPlan:
    """A training whose names, settings, data and processes are resolved.

    Attributes:
        request: what the user asked for.
        editor: made of the settings; it has no networks yet.
        settings: of the editor, resolved.
        switches: of the protocol.
        cases: records to train on.
        validation_cases: records for validation.
        names: of the benchmarks.
        processes: this process and those that train with it.
        skeleton: the backbone without its weights.
    """

    request: TrainRequest
    editor: TrainableEditor
    settings: Mapping[str, Any]
    switches: Switches
    cases: tuple[EditCase, ...]
    validation_cases: tuple[EditCase, ...]
    names: tuple[str, ...]
    processes: Processes
    skeleton: Backbone

    @property
    def folder(self) -> Path:
        """Return where checkpoints and curves go."""
        return home(self.request.backbone, folder=self.request.out) / "+".join(self.names) / self.editor.name

    @property
    def records(self) -> int:
        """Return the number of records that will be trained on, if early stopping does not end the training."""
        return self.progress().steps

    def progress(self) -> Progress:
        """Return the progress of a training that begins."""
        published = self.editor.published_schedule if self.request.protocol == "paper" else None
        return Progress(len(self.cases), self.editor.training, published, self.request.seed)


def plan(request: TrainRequest, *, alone: bool = False) -> TrainingPlan:
    """Resolve everything but the weights.

    Args:
        request: what the user asked for.
        alone: this process trains by itself, whatever the environment says of others that were started with it.

    Raises:
        UserError: an unknown name, a wrong setting, an editor that is not trained, no training records, processes that
            cannot share a step.
    """
    switches = resolve_protocol(request.protocol)
    check_seed(request.seed)
    check_writable(request.out)
    registry.import_string("backbones", request.backbone)
    values = editor_settings.resolve(request.editor, request.backbone, request.changes, protocol=request.protocol)
    for deviation in editor_settings.deviations(request.editor, request.backbone, request.protocol):
        logger.info("%s: %s", request.editor, deviation)
    benchmarks = [open_benchmark(name, data=request.data) for name in dict.fromkeys(request.benchmarks)]
    loaded = [benchmark.load("train", hop=0, switches=switches) for benchmark in benchmarks]
    names = tuple(sorted(benchmark.name for benchmark in benchmarks))
    usable, unusable = trainable([case for split in loaded for case in split.cases], " and ".join(names))
    left_out = [f"record {each.record}" for split in loaded for each in split.dropped] + [case.id for case in unusable]
    if left_out:
        logger.info(
            "%d of %d training records lack an answer or a question that training needs; left out, the first: %s",
            len(left_out),
            len(left_out) + len(usable),
            left_out[0],
        )
    _make(request, values, switches, usable)  # one that cannot be trained is told before the model's files are read
    skeleton = load(wanted(request, request.device), skeleton=True)
    usable = _askable(skeleton, usable)
    if request.protocol == "paper":
        # The published training validates on the evaluation records.
        evaluated = [case for each in benchmarks for case in each.load("eval", hop=0, switches=switches).cases]
        cases, validation_cases = usable, _askable(skeleton, trainable(evaluated, " and ".join(names))[0])
    else:
        cases, validation_cases = hold_out(usable, seed=request.seed)
    # Made of the records it is trained on and no others: it must not draw anything from validation records.
    editor = _make(request, values, switches, cases)
    _tell_overlap(cases, benchmarks, switches)
    own = alone or request.elsewhere
    processes = Processes(device=request.device) if own else _processes(request, editor)
    planned = TrainingPlan(
        request, editor, values, switches, tuple(cases), tuple(validation_cases), names, processes, skeleton
    )
    if not planned.records:
        raise UserError(f"{request.editor} would be trained on no record: steps = {editor.training.steps}")
    return planned


def _processes(request: TrainRequest, editor: TrainableEditor) -> Processes:
    return find_processes(
        request.device,
        gradient_accumulation_steps=editor.training.gradient_accumulation_steps,
        single_process_reason=editor.single_process_reason,
    )


def _make(
    request: TrainRequest, values: Mapping[str, Any], switches: Switches, cases: Sequence[EditCase]
) -> TrainableEditor:
    """Make the editor.

    Raises:
        UserError: it is not trained.
    """
    editor = registry.factory("editors", request.editor)(values, switches, train=cases, seed=request.seed)
    if not isinstance(editor, TrainableEditor):
        raise UserError(f"{request.editor} is not trained: it edits as it is (mmke run --editor {request.editor})")
    return editor


def wanted(request: TrainRequest, device: str) -> Request:
    """Return the request for the backbone."""
    return Request(
        request.backbone,
        None,
        (),
        device=device,
        dtype=request.dtype,
        weights=request.weights,
        elsewhere=request.elsewhere,
    )


def _askable(backbone: Backbone, cases: Sequence[EditCase]) -> list[EditCase]:
    """Leave out records that a backbone cannot be asked, which would end the training when their turn comes.

    Raises:
        UserError: it can be asked none of them.
    """
    found = [beforehand.refused(backbone, [case], Ask(), pictures=True) for case in cases]
    firsts = [refused[0] for refused in found if refused]
    if len(firsts) == len(cases):
        raise UserError(f"{backbone.name} can be asked none of {len(cases)} records; the first: {firsts[0]}")
    if firsts:
        logger.warning(
            "%d of %d records cannot be put to %s and are left out of the training:\n%s",
            len(firsts),
            len(cases),
            backbone.name,
            beforehand.first_of(firsts),
        )
    return [case for case, refused in zip(cases, found, strict=True) if not refused]


def _tell_overlap(cases: Sequence[EditCase], benchmarks: Sequence[Benchmark], switches: Switches) -> None:
    """Warn of training records that the same benchmark evaluates as well."""
    for benchmark in benchmarks:
        evaluated = benchmark.load("eval", hop=0, switches=switches).cases
        both = among(cases, record_digests(evaluated))
        if both:
            logger.warning(
                "%d of %d training records are also among the evaluation records of %s, the first: %s; figures on "
                "them will say how well they are remembered",
                len(both),
                len(cases),
                benchmark.name,
                both[0],
            )


def train(
    planned: TrainingPlan,
    *,
    on_step: Callable[[int], None] = lambda _: None,
    backbone: Backbone | None = None,
    share: int = 1,
    records: bool | None = None,
) -> Path:
    """Train, from the last checkpoint if there is one, and return the path of the best checkpoint.

    Args:
        planned: the resolved request.
        on_step: called after each step with the number of records trained on.
        backbone: loaded as the request says; None: it is loaded here.
        share: how many processes of this machine train, and divide its memory.
        records: whether passes of records that were seen before are recorded; None: `recording.ON`.

    Raises:
        UserError: weights are missing, the folder holds a training with other settings or is being written by another
            program, a loss is not finite, or there is too little memory.
    """
    request, editor, processes = planned.request, planned.editor, planned.processes
    editor.check(planned.skeleton)
    facts = facts_of(planned)
    with _own_folder(planned.folder, processes):
        last = _read_last(planned, facts)
        backbone, store = backbone or load(wanted(request, processes.device)), HostStore(share=share)
        with deterministic(backbone.device):
            try:
                if last is None:
                    editor.prepare(backbone, planned.cases, store=store)
                else:
                    editor.load_state_dict(backbone, network_tensors(last.tensors))
                    logger.info("going on after %d records (%s)", last.facts.records, last.path)
            except torch.OutOfMemoryError as error:
                raise UserError(out_of_memory(editor.name, backbone, "while its networks are laid out")) from error
            loop = TrainingLoop(
                editor=editor,
                backbone=backbone,
                cases=planned.cases,
                validation_cases=planned.validation_cases,
                progress=planned.progress(),
                facts=facts,
                folder=planned.folder,
                processes=processes,
                store=store,
                # A recording is of one GPU.
                records=(recording.ON if records is None else records) and len(cards_of(backbone.module)) == 1,
            )
            return loop.run(last=last, on_step=on_step)


@contextmanager
def _own_folder(folder: Path, processes: Processes) -> Iterator[None]:
    """Make a training's folder, and keep other programs from writing to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder} ({error.strerror}); choose another --out") from error
    if not processes.first:
        yield
        return
    with locked(folder):
        yield


def facts_of(planned: TrainingPlan) -> TrainedFor:
    """Return what the checkpoints of a training say of themselves."""
    return TrainedFor(
        editor=planned.editor.name,
        backbone=planned.skeleton.name,
        weights_revision=planned.skeleton.revision,
        benchmarks=planned.names,
        protocol=planned.request.protocol,
        settings=planned.settings,
        seed=planned.request.seed,
        records=0,
        figures={},
        trained_on=record_digests(planned.cases),
        validated_on=record_digests(planned.validation_cases[: planned.editor.training.validation_records]),
    )


def _read_last(planned: TrainingPlan, facts: TrainedFor) -> Checkpoint | None:
    """Return the checkpoint to continue from; None where the training begins.

    Raises:
        UserError: the folder holds another training, or a checkpoint that was not trained here.
    """
    best, last = planned.folder / BEST, planned.folder / LAST
    if last.is_file():
        kept = read(last)
        _check_same(last, kept.facts, facts)
        if kept.further.get("data") != digest(planned.cases, planned.validation_cases):
            raise UserError(f"{last} was trained on other records than there are now; choose another --out")
        return kept
    if best.is_file():  # of a training that was killed before it wrote the last one, or imported
        _check_same(best, read_facts(best)[0], facts)
    return None


def _check_same(path: Path, kept: TrainedFor, now: TrainedFor) -> None:
    # Before the settings, since some of them differ between the protocols.
    for what in ("protocol", "seed", "weights_revision"):
        there, here = getattr(kept, what), getattr(now, what)
        if there != here:
            raise UserError(f"{path} was trained with {what} {there!r}, and this is {here!r}; choose another --out")
    check_fits(path, kept, editor=now.editor, backbone=now.backbone, settings=now.settings)


def records_done(planned: TrainingPlan) -> int:
    """Return how many records an earlier start of this training has trained on."""
    last = planned.folder / LAST
    return read_facts(last)[0].records if last.is_file() else 0
