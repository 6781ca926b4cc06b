"""`mmke import`: convert a checkpoint of the published code.

In: a file, and what it was trained for. Out: `best.safetensors` in the folder where `mmke run` looks for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.own import looks_like_a_path
from mmke.editing.settings import resolve
from mmke.editing.trained import BEST, FOLDER, TrainedFor, home, write_network
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import TrainableEditor
from mmke.registry import factory, names
from mmke.running.loading import load
from mmke.running.request import Request
from mmke.training.published_files import read_published
from mmke.types import PAPER


@dataclass(frozen=True)
class ImportRequest:
    """What the user asked for.

    Attributes:
        editor: name.
        file: a published checkpoint.
        backbone: that it was trained for.
        benchmark: that it was trained on.
        changes: of the settings, where it was trained with others than those that are shipped.
        out: where `<backbone>/<benchmark>/<editor>/` is made.
        weights: where the backbone's weights lie.
    """

    editor: str
    file: Path
    backbone: str
    benchmark: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    out: Path = FOLDER
    weights: Path | None = None


def import_checkpoint(request: ImportRequest) -> Path:
    """Write a published checkpoint as one of ours, where `mmke run` finds it, and return its path.

    Raises:
        UserError: an unknown name, an editor that is not trained, a file that is broken or does not fit.
    """
    name, file, backbone, benchmark = request.editor, request.file, request.backbone, request.benchmark
    settings = resolve(name, backbone, request.changes, protocol=PAPER.protocol)
    editor = _make(name, settings)
    benchmark_name = _benchmark_name(benchmark)
    published = read_published(file)
    skeleton = load(Request(backbone, None, (), weights=request.weights), skeleton=True)
    try:
        tensors = editor.translate(published)
        editor.load_state_dict(skeleton, tensors)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    facts = TrainedFor(
        editor=name,
        backbone=backbone,
        weights_revision=f"imported from {file.name}",
        benchmarks=(benchmark_name,),
        protocol="paper",
        settings=settings,
        seed=0,
        records=0,
        figures={},
    )
    path = home(backbone, folder=request.out) / benchmark_name / name / BEST
    write_network(path, tensors, facts)
    return path


def _benchmark_name(benchmark: str) -> str:
    """Return the name under which a benchmark's results are kept; the data of a registered one need not be here."""
    if looks_like_a_path(benchmark) and benchmark not in names("benchmarks"):
        return open_benchmark(benchmark, data=None).name
    factory("benchmarks", benchmark)
    return benchmark


def _make(name: str, settings: Mapping[str, Any]) -> TrainableEditor:
    try:
        editor = factory("editors", name)(settings, PAPER, train=(), seed=0)
    except NeedsTrainingError:
        editor = None  # an editor such as IKE, which is made of training records
    if not isinstance(editor, TrainableEditor):
        raise UserError(f"{name} is not trained, so that there is nothing to import")
    return editor
