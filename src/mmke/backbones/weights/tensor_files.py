"""Weight files: what lies in them, read lazily, and never running code of theirs.

safetensors, and torch's own files (`.bin`, `.pth`) by its weights-only reader, which builds tensors and plain
containers and refuses everything else. Both are mapped into memory, so that a tensor is read when it is asked for;
torch's files of before 2020 cannot be mapped and are read whole.
"""

import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mmke.backbones.reason import reason
from mmke.errors import UserError

WEIGHTS = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
"""Where a model folder keeps its weights, the preferred first."""

_SAFETENSORS_TYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "I8": torch.int8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch's files began before they were zip archives."""
_AGAIN = "download or copy it again"


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file, or one that is computed from tensors in files when it is read.

    Attributes:
        name: its name in the file.
        file: that holds it.
        shape: of the tensor that `read` returns.
        dtype: of the tensor that `read` returns.
        read: reads it from the file.
        note: what `read` does beyond copying, for the log.
    """

    name: str
    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]
    note: str = ""

    @property
    def bytes(self) -> int:
        """How much of the file it takes."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Contents:
    """What a weight file holds: tensors by name, and the names of whatever else is stored beside them."""

    tensors: Mapping[str, StoredTensor]
    others: tuple[str, ...] = ()


def weight_files(folder: Path) -> list[Path]:
    """Return the one set of files that holds a model folder's weights, safetensors before torch's own.

    Raises:
        UserError: there are none, they are links to nothing, some that the index names are not there, or there are two
            sets of one kind: programs differ in which of them they read.
    """
    for name in WEIGHTS:
        check_link(folder / name)
    broken: str | None = None
    for index, whole in ((folder / WEIGHTS[0], folder / WEIGHTS[1]), (folder / WEIGHTS[2], folder / WEIGHTS[3])):
        shards = _shards(index) if index.is_file() else [whole]
        if whole.is_file() and shards != [whole]:
            raise UserError(
                f"{folder} holds {whole.name} and, by {index.name}, {len(shards)} other files of weights, such as "
                f"{shards[0].name!r}; remove what is not meant: the one file, or the others with their index"
            )
        absent = [shard.name for shard in shards if not shard.is_file()]
        if not absent:
            return shards
        if index.is_file():
            broken = broken or (
                f"{folder} is incomplete: {len(absent)} of the {len(shards)} files that {index.name} names are not "
                f"there, the first {absent[0]!r}; finish the download, or copy them there"
            )
    raise UserError(
        broken or f"{folder} holds no weights (none of {', '.join(WEIGHTS)}); {_AGAIN}, or name another folder"
    )


def check_link(path: Path) -> None:
    """Look whether a file that is a link has something behind it.

    Raises:
        UserError: it has not.
    """
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path} is a link to {path.readlink()}, which is not there; {_AGAIN}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        UserError: the file is not there, or holds no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} is no model folder: it has no {path.name}; name another folder") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); {_AGAIN}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no JSON object; {_AGAIN}")
    return found


def open_file(path: Path) -> Contents:
    """Return what a weight file holds, without reading its tensors.

    Raises:
        UserError: it is cut off, no weight file at all, or wants to run code.
    """
    with path.open("rb") as file:
        begin = file.read(64)
    if begin.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`")
    if not begin:
        raise UserError(f"{path} is empty; {_AGAIN}")
    return _open_safetensors(path) if path.suffix == ".safetensors" else _open_torch(path, begin)


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or any(Path(str(name)).name != name for name in names.values()):
        raise UserError(f"{index} names no weight files beside itself; {_AGAIN}")
    return [index.with_name(name) for name in sorted(set(names.values()))]


def _open_safetensors(path: Path) -> Contents:
    try:
        opened = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise UserError(f"{path} is cut off or no safetensors file ({error}); {_AGAIN}") from error
    tensors = {}
    for name in opened.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118 - it is no mapping
        part = opened.get_slice(name)  # type: ignore[no-untyped-call]
        dtype = _SAFETENSORS_TYPES.get(part.get_dtype())
        if dtype is None:
            raise UserError(f"{path}: {name} is stored as {part.get_dtype()}, which mmke does not read")
        tensors[name] = StoredTensor(name, path, tuple(part.get_shape()), dtype, _reader(opened.get_tensor, name))
    return Contents(tensors)


def _reader(read: Callable[[str], Tensor], name: str) -> Callable[[], Tensor]:
    return lambda: read(name)


def _open_torch(path: Path, begin: bytes) -> Contents:
    new = begin.startswith(b"PK")
    if not new and not begin.startswith(_OLD_TORCH):
        what = (
            "a plain pickle, which runs code when it is read"
            if begin[:1] == b"\x80"
            else f"it begins with {begin[:16]!r}"
        )
        raise UserError(f"{path} is no weight file ({what}) and is not read; {_AGAIN}")
    if new and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is cut off; {_AGAIN}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=new)
    except pickle.UnpicklingError as error:
        # The reader's own message advises to switch the protection off.
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise UserError(
            f"{path} wants to run code when it is read ({code.group(1) if code else 'of an unknown kind'}), which is "
            "refused; get the weights as safetensors, or as a file that holds tensors alone"
        ) from error
    except (EOFError, RuntimeError, ValueError, LookupError, TypeError, struct.error) as error:
        raise UserError(f"{path} is cut off or damaged ({reason(error)}); {_AGAIN}") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{path} holds no named tensors but a {type(found).__name__}; {_AGAIN}")
    return _named(path, found)


def _named(path: Path, found: Mapping[Any, Any]) -> Contents:
    """Sort what a torch file holds: its tensors, under `model` where a training loop saved them, and the rest."""
    inner = next((key for key in ("model", "state_dict") if isinstance(found.get(key), Mapping)), None)
    weights = found if inner is None else found[inner]
    tensors = {
        name: StoredTensor(name, path, tuple(tensor.shape), tensor.dtype, _given(tensor))
        for name, tensor in weights.items()
        if isinstance(tensor, Tensor)
    }
    others = [str(name) for name in weights if name not in tensors]
    others += [str(name) for name in found if inner is not None and name != inner]
    return Contents(tensors, tuple(others))


def _given(tensor: Tensor) -> Callable[[], Tensor]:
    return lambda: tensor
