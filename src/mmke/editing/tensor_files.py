"""Tensors of sessions in safetensors files: written whole, and read without running anything."""

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to the disk; whoever may read the folder may read the file.

    Raises:
        SafetensorError: see the next.
        OSError: it cannot be written.
    """
    # The library writes no two tensors that share memory; a copy of each shares nothing.
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(own, file)
    with file.open("rb") as written:
        os.fsync(written.fileno())
    # The library lets the owner alone read it.
    file.chmod(file.parent.stat().st_mode & 0o666)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file.

    Raises:
        SafetensorError: it is no such file.
        OSError: it cannot be read.
    """
    # The library's tensors lie in the file's pages at any address, on which the last bit of a product may depend.
    return {name: each.clone() for name, each in load_file(file).items()}
