"""Checkpoints of the published code, brought in without running anything that is pickled in them.

They are files of `torch.save`. Beside tensors they hold a configuration object of a class of their own (LLaVA's), an
optimizer's state and the like. Only what tensors and plain containers are made of is let through while reading; an
object of any other class becomes nothing, and no code of its own is looked up.
"""

import collections
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.editing.trained import BEST, FOLDER, TrainedFor, home, write_network
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import TrainableEditor
from mmke.registry import factory
from mmke.running.loading import load
from mmke.running.request import Request
from mmke.types import PAPER

LET_THROUGH = {
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,  # noqa: SLF001
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,  # noqa: SLF001
    ("collections", "OrderedDict"): collections.OrderedDict,
}
"""Names that a file may call while it is read."""


DAMAGE = (EOFError, RuntimeError, ValueError, LookupError, AttributeError, TypeError)
"""What reading a file raises that is cut off, or none of this kind."""


class Nothing:
    """Stands for an object of a class that is not let through."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take whatever it would have been made of."""

    def __setstate__(self, state: object) -> None:
        """Forget its state."""

    def __call__(self, *_: object, **__: object) -> "Nothing":
        """Be called where the file would have called it."""
        return self


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in LET_THROUGH:
            return LET_THROUGH[module, name]
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            return getattr(torch, name, Nothing)
        return Nothing


def read_published(file: Path) -> dict[str, Tensor]:
    """Return the named tensors of a published checkpoint: those of `model` or `state_dict`, or of the file itself.

    Raises:
        UserError: no such file, no file of `torch.save`, or one without tensors.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    reader = ModuleType("reader")
    reader.Unpickler, reader.load, reader.loads = _Reader, pickle.load, pickle.loads  # type: ignore[attr-defined]
    try:
        found = torch.load(file, map_location="cpu", pickle_module=reader, weights_only=False)
    except (*DAMAGE, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{file} is cut off, damaged, or no checkpoint of the published code ({reason})") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{file} holds no named tensors; it is no checkpoint of the published code")
    named = next((found[key] for key in ("model", "state_dict") if isinstance(found.get(key), Mapping)), found)
    tensors = {str(name): tensor for name, tensor in named.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise UserError(f"{file} holds no tensors; it is no checkpoint of the published code")
    return tensors


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
    tensors = editor.translate(read_published(file))
    skeleton = load(Request(backbone, None, (), weights=request.weights), skeleton=True)
    editor.load_state_dict(skeleton, tensors)
    benchmark_name = open_benchmark(benchmark, data=None).name if Path(benchmark).suffix else benchmark
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


def _make(name: str, settings: Mapping[str, Any]) -> TrainableEditor:
    try:
        editor = factory("editors", name)(settings, PAPER, train=(), seed=0)
    except NeedsTrainingError:
        editor = None  # one that is made of training records
    if not isinstance(editor, TrainableEditor):
        raise UserError(f"{name} is not trained, so that there is nothing to import")
    return editor
