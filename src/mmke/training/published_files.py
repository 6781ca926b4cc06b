"""Read checkpoint files of the published code without running anything that they hold.

In: a file. Out: its named tensors. The files are files of `torch.save`. Beside tensors they hold a configuration object
of a class of their own (LLaVA's), an optimizer's state and the like. They are read by the restricted unpickler of torch
(`weights_only=True`) alone, which knows tensors and plain containers. Every other name in a file is given to it with an
inert class of ours in its place: the name is never looked up, so no code of another package is imported or called.
Files of `safetensors` hold no code.
"""

import logging
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmke.editing.trained import check_finite
from mmke.errors import UserError

logger = logging.getLogger(__name__)

DAMAGE = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What reading a file raises that is cut off, damaged, or of another kind."""

SYSTEM = ("os", "posix", "nt", "sys", "subprocess", "shutil", "socket")
"""Modules of which no checkpoint needs anything."""


class EmptyTable:
    """Stands for every class and function that is not torch's: whatever is made of it is an empty dictionary."""

    def __new__(cls, *_: object, **__: object) -> Any:
        """Return the one kind of object that torch's unpickler lets a file fill with entries or attributes."""
        return OrderedDict()


class Opaque:
    """Stands for numpy's classes and functions, whose objects take a state that is no dictionary."""

    def __init__(self, *_: object, **__: object) -> None:
        """Ignore whatever it would have been made of."""

    def __setstate__(self, state: object) -> None:
        """Ignore the state."""


def read_published(file: Path) -> dict[str, Tensor]:
    """Return the named tensors of a published checkpoint: those of `model` or `state_dict`, or of the file itself.

    Raises:
        UserError: no such file, no file of `torch.save` or `safetensors`, or one without tensors or with values that
            are no finite numbers.
    """
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    try:
        found = load_file(file) if file.suffix == ".safetensors" else _load(file)
    except DAMAGE as error:
        raise UserError(
            f"{file} is cut off, damaged, or no checkpoint of the published code ({_reason(error)})"
        ) from error
    if not isinstance(found, Mapping):
        raise UserError(f"{file} holds no named tensors; it is no checkpoint of the published code")
    named = next((found[key] for key in ("model", "state_dict") if isinstance(found.get(key), Mapping)), found)
    tensors = {str(name): tensor for name, tensor in named.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise UserError(f"{file} holds no tensors; it is no checkpoint of the published code")
    check_finite(file, tensors)
    return tensors


def _load(file: Path) -> object:
    if tarfile.is_tarfile(file):
        raise UserError(
            f"{file} is a tar archive, as torch saved before version 0.1.10; it is not read, since its contents could "
            "run a program. Load it with the torch that wrote it, and save its tensors with torch.save"
        )
    with warnings.catch_warnings():
        # Of TorchScript archives and other pickle protocols; both end in an error, which is told.
        warnings.simplefilter("ignore")
        strange = _strange_names(file)
        blocked = [name for name in strange if name.partition(".")[0] in SYSTEM]
        if blocked:
            raise UserError(
                f"{file} would call {blocked[0]} while it is read; that is no checkpoint, and it is not read"
            )
        stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
            (Opaque if name.startswith("numpy.") else EmptyTable, name) for name in strange
        ]
        with torch.serialization.safe_globals(stand_ins):
            found: object = torch.load(file, map_location="cpu", weights_only=True)
    if strange:
        logger.info("%s: objects of %s are left out", file.name, ", ".join(strange))
    return found


def _strange_names(file: Path) -> list[str]:
    """Return the names of classes and functions in a file that torch does not know as safe, without loading them."""
    if not zipfile.is_zipfile(file):
        return []  # files of torch before version 1.6, from which only plain tensors and containers are read
    return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))


def _reason(error: BaseException) -> str:
    """Return the first sentence of what an unpickler found, without torch's advice to load the file unsafely."""
    if isinstance(error, EOFError):
        return "it ends too early"
    return str(error).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0].partition(". ")[0]
