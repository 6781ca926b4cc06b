"""A model's own folder on this disk: which files make it, and where in them each tensor of the module stands.

An edited model is exported as a copy of this folder in which the edited tensors alone are others, under the folder's
own names. Nothing else is written anew, so that configuration, processor and template stay those of the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmke.backbones.weights.checkpoint import Checkpoint
from mmke.backbones.weights.locations import CONFIG
from mmke.backbones.weights.tensor_files import StoredTensor, open_file, read_json, weight_files
from mmke.errors import UserError


@dataclass(frozen=True, eq=False)
class SourceFolder:
    """A model's files, and its tensors in them.

    Attributes:
        files: by their place in the folder.
        tensors: by the module's names; where the files call a tensor otherwise, all that it may be.
        loaded_as: the model's name for `mmke` when it lies in another folder; `{}` stands for that folder.
        by_library: whether the library's `from_pretrained` loads the folder.
    """

    files: Mapping[str, Path]
    tensors: Mapping[str, Sequence[StoredTensor]]
    loaded_as: str
    by_library: bool = True

    def find(self, name: str, own: Tensor) -> StoredTensor:
        """Return the stored tensor of a module's parameter: the one that has its values.

        Raises:
            UserError: none has, or several have.
        """
        same = [each for each in self.tensors.get(name, ()) if _equal(each, own)]
        if len(same) != 1:
            raise UserError(
                f"the files of this model hold {len(same) or 'no'} tensors that can be {name}, so that it cannot be "
                "written back; save the model anew with the library's save_pretrained, and edit that folder"
            )
        return same[0]

    def place(self, file: Path) -> str:
        """Return where one of the files lies in the folder."""
        return next(place for place, each in self.files.items() if each == file)


def of_folder(checkpoint: Checkpoint, name: str, hub: str) -> SourceFolder:
    """Return the folder of a model in the library's own layout.

    Raises:
        UserError: the weights lie in another layout.
    """
    folder = checkpoint.tokenizer
    if checkpoint.folders != (folder,) or "text_config" not in read_json(folder / CONFIG):
        raise UserError(
            f"{folder}: these weights are {checkpoint.layout}, which the library does not load; fetch the hub's {hub} "
            f"(mmke fetch {name}), make the edit on that, and name it with --weights"
        )
    return SourceFolder(files_of(folder), {key: (each,) for key, each in checkpoint.tensors.items()}, name)


def of_library(folder: Path, parameters: Mapping[str, Tensor]) -> SourceFolder:
    """Return the folder of any model of the library; a version of it may have renamed tensors since it was written.

    Args:
        folder: of the model.
        parameters: of the module, of which the names and shapes are read.
    """
    stored = [each for file in weight_files(folder) for each in open_file(file).tensors.values()]
    exact = {each.name: each for each in stored}
    tensors = {
        name: (exact[name],) if name in exact else _nearest(name, tuple(own.shape), stored)
        for name, own in parameters.items()
    }
    return SourceFolder(files_of(folder), tensors, "hf:{}")


def files_of(folder: Path, below: str = "") -> dict[str, Path]:
    """Return all files of a folder that are not hidden, by their places; a link of the hub's cache is what it shows."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    inside = {file: file.relative_to(folder) for file in files}
    return {below + place.as_posix(): file for file, place in inside.items() if not place.as_posix().startswith(".")}


def _nearest(name: str, shape: tuple[int, ...], stored: Iterable[StoredTensor]) -> tuple[StoredTensor, ...]:
    """Return the tensors of a shape that share the longest end of a name, of at least two parts."""
    shared = [(each, _shared_end(name, each.name)) for each in stored if each.shape == shape]
    longest = max((count for _, count in shared), default=0)
    return tuple(each for each, count in shared if count == longest) if longest > 1 else ()


def _shared_end(one: str, other: str) -> int:
    count = 0
    for left, right in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if left != right:
            break
        count += 1
    return count


def _equal(stored: StoredTensor, own: Tensor) -> bool:
    read = stored.read().to(device=own.device, dtype=own.dtype)
    return read.shape == own.shape and torch.equal(read, own)
