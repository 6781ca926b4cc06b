"""A run: every chosen editor on every chosen benchmark, behind the floor that they share.

What can go wrong by a mistake of the user's is resolved first (`plan`), before any weights are read; then the cells are
worked through, each in its own folder, each continuing what it finds there.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmke import registry
from mmke.backbones.engine.store import store_for
from mmke.backbones.weights.loading import RANDOM, WeightSource
from mmke.benchmarks.open import open_benchmark
from mmke.editing import settings as editor_settings
from mmke.editing.trained import (
    TrainedFor,
    check_fits,
    check_weights,
    digest,
    find,
    network_tensors,
    read,
    read_facts,
    read_shapes,
)
from mmke.editors.none.edit import beside
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import Backbone, Editor, TrainableEditor
from mmke.results.finished import read_finished
from mmke.results.folder import finished_ids, open_run, run_path, set_aside
from mmke.results.manifest import RunFacts, RunSettings, check_same_settings
from mmke.running.asking import make_metrics
from mmke.running.devices import check_dtype, device_name, dtype_name, resolve_device, resolve_dtype
from mmke.running.fingerprint import fingerprint
from mmke.running.scoring import Floor
from mmke.running.single import Cell, run_cell
from mmke.types import (
    PROTOCOLS,
    Benchmark,
    EditCase,
    Metric,
    Split,
    Switches,
)

FLOOR = "none"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        backbone: name.
        editors: names; the floor is run whether it is among them or not. None: every editor that can be made.
        benchmarks: names, or paths of the user's own files.
        hop: portability questions of this many hops; 0 for none.
        limit: records of each benchmark; 0 for all. No setting: a larger one continues the run.
        protocol: "strict" or "paper".
        generate: also score free greedy decoding.
        changes: editor settings by editor and key, laid over the shipped ones.
        data: folder of benchmarks that are not embedded.
        out: where results go.
        device: "cpu", "cuda", "cuda:1", …
        checkpoints: of trained editors, by name; for others the usual places are looked at.
        untrained: make trained editors without a checkpoint; the caller lays out their networks.
        dtype: of the backbone's language model; None: as the backbone was published for the device.
        weights: folder with the backbone's weights, or "random"; None: the usual places.
        seed: for whatever draws.
    """

    backbone: str
    editors: tuple[str, ...] | None
    benchmarks: tuple[str, ...]
    hop: int = 1
    limit: int = 0
    protocol: str = "strict"
    generate: bool = False
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    untrained: bool = False
    data: Path | None = None
    out: Path = Path("results")
    device: str = "cpu"
    dtype: str | None = None
    weights: WeightSource = None
    seed: int = 0


@dataclass(frozen=True)
class PlannedCell:
    """One editor on one benchmark, resolved."""

    benchmark: Benchmark
    split: Split
    editor: Editor
    metrics: tuple[Metric, ...]
    settings: Mapping[str, Any]
    switches: Switches
    available: int
    data_revision: str
    checkpoint: Path | None = None

    @property
    def limited(self) -> bool:
        """Whether a limit leaves records out."""
        return len(self.split.cases) < self.available

    def text(self) -> str:
        """Say how many records are used and dropped, and how many lack a question."""
        used, dropped = len(self.split.cases), len(self.split.dropped)
        lacking = sum(any(kind.name == "port" for kind in case.unscored) for case in self.split.cases)
        return f"{used} of {self.available} records, {dropped} dropped" + (
            f", {lacking} without a portability question of this hop (Port is unscored)" if lacking else ""
        )


@dataclass(frozen=True)
class Plan:
    """A request whose names, settings and data are resolved."""

    request: Request
    cells: tuple[PlannedCell, ...]

    @property
    def records(self) -> int:
        """How many times a record is edited, the floor's included."""
        return sum(len(cell.split.cases) for cell in self.cells)


def plan(request: Request) -> Plan:
    """Resolve everything but the weights.

    Raises:
        UserError: an unknown name, a wrong setting, broken data, no such device or dtype.
    """
    check_dtype(resolve_dtype(request.dtype), resolve_device(request.device))
    registry.import_string("backbones", request.backbone)
    resolve_protocol(request.protocol)
    if request.limit < 0:
        raise UserError(f"--limit {request.limit}: give a number of records, or 0 for all")
    check_seed(request.seed)
    check_writable(request.out)
    editors = list(dict.fromkeys([FLOOR, *(request.editors or registry.names("editors"))]))
    for name in editors:
        registry.import_string("editors", name)
    stray = sorted(set(request.changes) - set(editors))
    if stray:
        raise UserError(f"settings for {stray[0]!r}, which this run does not use; it uses {', '.join(editors)}")
    lost = sorted(set(request.checkpoints) - set(editors))
    if lost:
        raise UserError(f"a checkpoint for {lost[0]!r}, which this run does not use; it uses {', '.join(editors)}")
    cells: list[PlannedCell] = []
    left_out: set[str] = set()
    for name in dict.fromkeys(request.benchmarks):
        benchmark = open_benchmark(name, data=request.data)
        if any(cell.benchmark.name == benchmark.name for cell in cells):
            raise UserError(
                f"two benchmarks are called {benchmark.name!r}, one of them {name}, and results are kept by name; "
                "rename a file, or run them one by one into two --out"
            )
        cells += plan_benchmark(request, benchmark, editors, left_out=left_out)
    return Plan(request, tuple(cells))


def run(planned: Plan, *, command: Sequence[str] = (), on_record: Callable[[], None] = lambda: None) -> list[Path]:
    """Work through a plan and return the folders of its cells.

    Args:
        planned: the resolved request.
        command: the command line, for run.json.
        on_record: called once for every record of every cell, also for those that were finished before.

    Raises:
        UserError: a folder holds a run with other settings, or is being written by another program.
        RuntimeError: an editor has changed the backbone.
    """
    request = planned.request
    check_sites(planned)
    backbone = load(request)
    untouched = fingerprint(backbone.module)
    store, folders = store_for(backbone.device), []
    for cell in planned.cells:
        settings = _run_settings(request, cell, backbone)
        wanted = {case.id for case in cell.split.cases}
        path = run_path(request.out, settings)
        if wanted <= finished_ids(path):
            # Not opened for writing, so that several runs can share a finished floor.
            folders.append(path)
            for _ in wanted:
                on_record()
            continue
        facts = RunFacts(device_name(backbone.device), len(cell.split.cases), cell.split.dropped, tuple(command))
        with filled(cell, backbone), open_run(request.out, settings, facts) as folder:
            floor = None if cell.editor.name == FLOOR else _read_floor(folder.path.with_name(FLOOR))
            for _ in folder.done & wanted:
                on_record()
            editor = beside(cell.editor, (each.editor for each in planned.cells if each.benchmark is cell.benchmark))
            work = Cell(backbone, editor, cell.split.cases, cell.metrics, floor, store, request.seed)
            run_cell(work, folder, on_record=on_record)
        if fingerprint(backbone.module) != untouched:
            set_aside(folder.path)
            raise RuntimeError(
                f"editor {cell.editor.name!r} has changed the backbone; what it wrote is void and set aside as "
                f"{folder.path}/*.void"
            )
        folders.append(folder.path)
    return folders


@contextmanager
def filled(cell: PlannedCell, backbone: Backbone) -> Iterator[None]:
    """Fill a trained editor from its checkpoint, and release its networks afterwards.

    Raises:
        UserError: the checkpoint is broken, or of another editor, backbone or other settings.
    """
    if cell.checkpoint is None or not isinstance(cell.editor, TrainableEditor):
        yield
        return
    cell.editor.load_state_dict(backbone, network_tensors(read(cell.checkpoint).tensors))
    try:
        yield
    finally:
        cell.editor.release()


def check_sites(planned: Plan) -> None:
    """Look at the backbone's skeleton: resolve every editor's sites, and refuse folders of other settings.

    Raises:
        UserError: weights are missing or wrong, the backbone lacks a site, a checkpoint is of other shapes, or a folder
            was made with other settings.
    """
    backbone = load(planned.request, skeleton=True)
    for cell in planned.cells:
        cell.editor.check(backbone)
        if cell.checkpoint is not None and isinstance(cell.editor, TrainableEditor):
            check_weights(cell.checkpoint, read_facts(cell.checkpoint)[0], revision=backbone.revision)
            cell.editor.load_state_dict(backbone, read_shapes(cell.checkpoint))
            cell.editor.release()
        settings = _run_settings(planned.request, cell, backbone)
        check_same_settings(run_path(planned.request.out, settings), settings)


def load_backbone(
    name: str, *, dtype: str | None = None, device: str = "cpu", weights: str | Path | None = None
) -> Backbone:
    """Load a backbone by its name (`mmke ls backbones`).

    Args:
        name: registered name.
        dtype: the language model's precision; None: as the backbone was published for the device.
        device: "cpu", "cuda", "cuda:1", …
        weights: folder with its weights, or "random"; None: `hugging_cache` in the current folder, then the hub's.

    Raises:
        UserError: unknown name, device or dtype; missing or wrong weights; too little memory.
    """
    source = weights if weights in (None, RANDOM) else Path(weights)
    return load(Request(name, None, (), dtype=dtype, device=device, weights=source))


def load(request: Request, *, skeleton: bool = False) -> Backbone:
    """Load a request's backbone; a skeleton has everything but weights.

    Raises:
        UserError: as for `load_backbone`.
    """
    make = registry.factory("backbones", request.backbone)
    dtype, device = resolve_dtype(request.dtype), resolve_device(request.device)
    check_dtype(dtype, device)
    try:
        backbone: Backbone = make(
            name=request.backbone, dtype=dtype, device=device, weights=request.weights, skeleton=skeleton
        )
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{device} has too little memory to load {request.backbone}; end what else runs there (nvidia-smi), take "
            "--dtype float16, or another --device"
        ) from error
    return backbone


def resolve_protocol(name: str) -> Switches:
    """Return a protocol's switches.

    Raises:
        UserError: no such protocol.
    """
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}; there are {' and '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def check_seed(seed: int) -> None:
    """Refuse a seed that the library does not take.

    Raises:
        UserError: the message says which are taken.
    """
    if not -(2**63) <= seed < 2**64:
        raise UserError(f"--seed {seed}: give a whole number of at most 64 bits")


def check_writable(out: Path) -> None:
    """Refuse a folder that cannot be made or written to.

    Raises:
        UserError: the message names it.
    """
    there = next(folder for folder in [out, *out.absolute().parents] if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"--out {out}: {there} is no folder that can be written to; choose another --out")


def plan_benchmark(
    request: Request, benchmark: Benchmark, editors: Sequence[str], *, left_out: set[str]
) -> Iterator[PlannedCell]:
    """Make a cell of each editor on one benchmark; those that cannot be made are told once and left out.

    Raises:
        UserError: a wrong setting, or an editor that was asked for and cannot be made of this benchmark.
    """
    switches = PROTOCOLS[request.protocol]
    split = benchmark.load("eval", hop=request.hop, switches=switches)
    train = benchmark.load("train", hop=0, switches=switches).cases
    limited = Split(split.cases[: request.limit or None], split.dropped)
    revision = f"{benchmark.revision}+{_pictures(split.cases)}"
    for name in editors:
        try:
            made = _make_editor(request, name, benchmark.name, train=train)
        except NeedsTrainingError as error:
            if request.editors:
                raise
            if name not in left_out:
                logger.info("%s: left out (%s)", name, error)
            left_out.add(name)
            continue
        metrics = tuple(make_metrics(made.switches, generate=request.generate))
        yield PlannedCell(
            benchmark,
            limited,
            made.editor,
            metrics,
            made.settings,
            made.switches,
            len(split.cases),
            revision,
            made.checkpoint,
        )


class _Made(NamedTuple):
    """An editor, the settings and switches that it was made with, and the checkpoint that it is to be filled from."""

    editor: Editor
    settings: Mapping[str, Any]
    switches: Switches
    checkpoint: Path | None


def _make_editor(request: Request, name: str, benchmark: str, *, train: Sequence[EditCase]) -> _Made:
    changes = request.changes.get(name, {})
    switches = editor_settings.resolve_switches(PROTOCOLS[request.protocol], name)
    values: Mapping[str, Any] = editor_settings.resolve(name, request.backbone, changes, protocol=request.protocol)
    checkpoint = None if request.untrained else _find_checkpoint(request, name, benchmark)
    facts = None if checkpoint is None else _facts(checkpoint, name, request.backbone)
    if facts is not None:
        values = {**values, **facts.settings, **changes}
    editor: Editor = registry.factory("editors", name)(values, switches, train=train, seed=request.seed)
    if not isinstance(editor, TrainableEditor):
        if name in request.checkpoints:
            raise UserError(f"{name} is not trained, so that it takes no checkpoint")
    elif checkpoint is not None and facts is not None:
        # Only now: a misspelt name among the changes has been refused as such.
        check_fits(checkpoint, facts, editor=name, backbone=request.backbone, settings=changes)
        if facts.protocol != request.protocol:
            logger.warning(
                "%s: %s was trained under %s, and this is %s; its own settings stay those that it was trained with",
                name,
                checkpoint,
                facts.protocol,
                request.protocol,
            )
    elif not request.untrained:
        raise _needs_training(request, name, benchmark)
    if editor.name != name:
        raise UserError(
            f"the editor registered as {name!r} calls itself {editor.name!r}; results are kept by name, so let its "
            "factory return an editor of the registered name"
        )
    return _Made(editor, values, switches, checkpoint)


def _find_checkpoint(request: Request, name: str, benchmark: str) -> Path | None:
    """Return the checkpoint that the user named, or one that was trained under the run's own protocol."""
    if name in request.checkpoints:
        return request.checkpoints[name]
    places = find(name, request.backbone, benchmark)
    return next((place for place in places if read_facts(place)[0].protocol == request.protocol), None)


def _facts(checkpoint: Path, editor: str, backbone: str) -> TrainedFor:
    facts, _ = read_facts(checkpoint)
    check_fits(checkpoint, facts, editor=editor, backbone=backbone, settings={})
    return facts


def _needs_training(request: Request, name: str, benchmark: str) -> NeedsTrainingError:
    places = {place: read_facts(place)[0].protocol for place in find(name, request.backbone, benchmark)}
    told = "".join(f"; {place} was trained under {protocol}" for place, protocol in places.items())
    return NeedsTrainingError(
        f"{name} has to be trained for {request.backbone} and {benchmark} under {request.protocol} first{told}: mmke "
        f"train {name} --backbone {request.backbone} --benchmark {benchmark} --protocol {request.protocol}; or name a "
        f"checkpoint: --checkpoint {name}=PATH"
    )


def _pictures(cases: Sequence[EditCase]) -> str:
    """Return a digest of all pictures that a split asks about: a picture that was replaced is other data."""
    seen = {probe.query.image.sha256 for case in cases for probe in case.probes if probe.query.image}
    return hashlib.sha256("".join(sorted(seen)).encode()).hexdigest()[:16]


def _run_settings(request: Request, cell: PlannedCell, backbone: Backbone) -> RunSettings:
    return RunSettings(
        backbone=backbone.name,
        editor=cell.editor.name,
        benchmark=cell.benchmark.name,
        hop=request.hop,
        switches=cell.switches,
        settings=_with_checkpoint(cell),
        metrics=tuple(metric.name for metric in cell.metrics),
        generate=request.generate,
        seed=request.seed,
        dtype=dtype_name(backbone.dtype),
        device_type=resolve_device(request.device).type,
        data_revision=cell.data_revision,
        weights_revision=backbone.revision,
    )


def _with_checkpoint(cell: PlannedCell) -> Mapping[str, Any]:
    """Return the editor's settings, and what it was trained to where it was."""
    return cell.settings if cell.checkpoint is None else {**cell.settings, "checkpoint": digest(cell.checkpoint)}


def _read_floor(folder: Path) -> Floor:
    rows = [row for record in read_finished(folder).records for row in record.rows]
    return Floor({(row.case_id, row.probe, row.metric): row for row in rows})
