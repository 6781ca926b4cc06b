"""Export an edit as an ordinary model: a copy of the model's own folder in which the edited tensors are others.

In: an edit whose editor changes weights. Out: a folder that the library's `from_pretrained` loads, or MiniGPT-4's
published code. The edited tensors are rounded to the precision of the folder.
"""

import importlib
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmke import registry
from mmke.backbones.engine.substitution import dense
from mmke.backbones.weights.patching import patch
from mmke.backbones.weights.source import SourceFolder
from mmke.backbones.weights.tensor_files import StoredTensor
from mmke.edits.export.changes import changes_of, check_in_weights
from mmke.edits.files import check_free
from mmke.edits.loading import Stack
from mmke.edits.opening import Where, in_force, skeleton_of
from mmke.edits.telling import described
from mmke.errors import UserError
from mmke.running.loading import load_backbone

NOTE = "mmke-edit.md"
"""What was edited, beside the model."""


@dataclass(frozen=True)
class Exported:
    """A model that was written.

    Attributes:
        tensors: names of the edited tensors in its files.
        rounding: the largest difference between an edited value and the one in the files.
        by_library: whether `from_pretrained` loads it.
        loaded_as: its name for `mmke`, and `--weights` where it takes one.
    """

    tensors: tuple[str, ...]
    rounding: float
    by_library: bool
    loaded_as: str
    weights: Path | None


def export_model(stack: Stack, where: Where, to: Path, *, check: bool = True) -> Exported:
    """Write an edited model into a new folder.

    Args:
        stack: the edit.
        where: where the model is loaded.
        to: the new folder.
        check: load what was written, and compare it with what was meant.

    Raises:
        UserError: the edit does not live in the weights, the model has no folder of its own, or the disk is full.
    """
    check_free(to)
    skeleton = skeleton_of(stack, where)
    check_in_weights(stack, skeleton)
    source = source_of(skeleton.name, where, skeleton.module)
    meant, stored = _meant(stack, where, source)
    rounding = write_folder(source, to, stored, meant, note="\n".join(_note(stack)))
    name, weights = _name_of(source, to)
    if check:
        _check(name, weights, where, meant, stored)
    return Exported(tuple(each.name for each in stored.values()), rounding, source.by_library, name, weights)


def _meant(stack: Stack, where: Where, source: SourceFolder) -> tuple[dict[str, Tensor], dict[str, StoredTensor]]:
    """Return the edited tensors, and where they stand in the files; the model is not kept, since it is loaded again."""
    with in_force(stack, where) as (backbone, session):
        edited = changes_of(session.state().tensors, backbone.module)
        own = dict(backbone.module.named_parameters())
        stored = {name: source.find(name, own[name].detach()) for name in edited}
        meant = {name: dense(own[name].detach(), each).clone() for name, each in edited.items()}
        with session.module():
            for name, tensor in meant.items():
                # A later kind of editor could lend something else than its state says.
                if not torch.equal(own[name].detach(), tensor.to(own[name].dtype)):
                    raise UserError(f"{stack.edits[0].folder}: the edited model has another {name} than its state says")
    return meant, stored


def source_of(name: str, where: Where, module: nn.Module) -> SourceFolder:
    """Return the folder of a backbone's model.

    Raises:
        UserError: it has none.
    """
    place = registry.import_string("backbones", name).partition(":")[0]
    find: Callable[..., SourceFolder] | None = getattr(importlib.import_module(place), "source", None)
    if find is None or where.weights == "random":
        raise UserError(
            f"{name} has no folder of weights that other programs load, so there is no model to export; ask it with "
            "mmke ask --edit, or make the edit on an hf: model, llava-1.5-7b, blip2-opt-2.7b or minigpt4-7b"
        )
    return find(name=name, weights=where.weights, module=module)


def _name_of(source: SourceFolder, to: Path) -> tuple[str, Path | None]:
    """Return how mmke calls what was written, and the `--weights` that goes with it."""
    named = source.loaded_as.format(to.absolute())
    return named, None if named != source.loaded_as else to


def write_folder(
    source: SourceFolder, to: Path, stored: Mapping[str, StoredTensor], meant: Mapping[str, Tensor], *, note: str
) -> float:
    """Write a model's folder with other values in some tensors, whole or not at all; return the largest rounding.

    Args:
        source: the model's own folder.
        to: the new one.
        stored: the tensors that are changed, by the module's names.
        meant: their new values.
        note: what was edited.

    Raises:
        UserError: it cannot be written.
    """
    draft = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        for place, file in source.files.items():
            target = draft / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        for file in {each.file for each in stored.values()}:
            own = {each.name: meant[name] for name, each in stored.items() if each.file == file}
            patch(draft / source.place(file), own)
        (draft / NOTE).write_text(note + "\n", encoding="utf-8")
        draft.rename(to)
    except OSError as error:
        raise UserError(f"the model cannot be written to {to} ({error}); make room, or choose another --to") from error
    finally:
        with suppress(OSError):
            shutil.rmtree(draft)
    return max(float((_rounded(meant[name], each) - meant[name]).abs().max()) for name, each in stored.items())


def _rounded(meant: Tensor, stored: StoredTensor) -> Tensor:
    return meant.to(stored.dtype).to(meant.dtype)


def _check(
    name: str, weights: Path | None, where: Where, meant: Mapping[str, Tensor], stored: Mapping[str, StoredTensor]
) -> None:
    """Load what was written as any user would, and compare its edited tensors with those that were meant.

    Raises:
        UserError: one is another.
    """
    written: Any = load_backbone(name, dtype=where.dtype, device=where.device, weights=weights).module
    found = dict(written.named_parameters())
    for key, tensor in meant.items():
        expected = _rounded(tensor, stored[key]).to(dtype=found[key].dtype, device=found[key].device)
        if not torch.equal(found[key].detach(), expected):
            raise UserError(
                f"{weights or name}: loaded again, its tensor {key} is not the edited one; do not use this folder, and "
                "save the model anew with the library's save_pretrained before it is edited"
            )


def _note(stack: Stack) -> list[str]:
    lines = ["# An edited model", "", "Knowledge in this model was changed on purpose, and may be false.", ""]
    return lines + [f"    {line}" for found in stack.edits for line in described(found.folder, found.record)]
