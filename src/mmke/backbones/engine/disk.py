"""The lowest part of a store: a file on disk, for what the machine's memory has no room for.

The file has no name in any folder, so that it is gone when the program ends, however it ends. Into it go the bytes of
tensors and nothing else; their shapes and what is around them stay in memory. What is written stays until the store
ends: results are asked for in turns, and whatever made room for another would be needed before it.
"""

import logging
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmke.backbones.engine.structure import mapped, tensors_in

log = logging.getLogger(__name__)

MOST = 32 << 30
"""Bytes that a store takes of the disk at most; it never takes more than half of what is free there."""

LARGE_FILES = Path("/var/tmp")  # noqa: S108 - a file without a name cannot be met by another program
"""Where Unix has large temporary files; `/tmp` is often kept in memory."""

ALIGNED = 512
"""Tensors begin at multiples of this many bytes, as those that torch allocates do at least."""


class _Written(NamedTuple):
    """Where in the file the tensors of a result are, and the result with tensors that have no data."""

    begin: int
    size: int
    empty: Any


class OnDisk:
    """Keeps results up to `budget` bytes; when the disk refuses, it keeps no more and says so once."""

    def __init__(self, budget: int = MOST, folder: Path | None = None) -> None:
        """Take a budget in bytes, and the folder whose disk is used; the file is made when something is first kept.

        Without a folder it is that of `TMPDIR`, or the usual one for large temporary files.
        """
        self.budget, self.held = budget, 0
        self._folder = folder or _usual_folder()
        self._file: FileIO | None = None
        self._written: dict[tuple[object, ...], _Written] = {}

    def holds(self, key: tuple[object, ...]) -> bool:
        """Tell whether something is kept under `key`."""
        return key in self._written

    def find(self, key: tuple[object, ...]) -> Any:
        """Return what is kept under `key`, in the machine's memory; None when it is not there."""
        if self._file is None or key not in self._written:
            return None
        begin, size, empty = self._written[key]
        data = torch.empty(size, dtype=torch.uint8)
        try:
            _read(self._file, begin, data)
        except OSError as error:
            self._written.clear()
            self._give_up(error)
            return None
        views = _views(data, tensors_in(empty))
        return mapped(empty, lambda _: next(views))

    def put(self, key: tuple[object, ...], thing: object) -> None:
        """Keep something whose tensors are in the machine's memory, if there is room for it."""
        # On the meta device a tensor has a type, a shape and strides, and no data.
        empty = mapped(thing, lambda tensor: tensor.to("meta"))
        size = sum(map(_room_for, tensors_in(empty)))
        try:
            if not 0 < size <= self._budget() - self.held:
                return
            data = torch.empty(size, dtype=torch.uint8)
            for view, tensor in zip(_views(data, tensors_in(empty)), tensors_in(thing), strict=True):
                view.copy_(tensor)
            _write(self._open(), self.held, data)
        except OSError as error:
            self._give_up(error)
            return
        self._written[key] = _Written(self.held, size, empty)
        self.held += size

    def _budget(self) -> int:
        if self._file is None and self.budget:
            self.budget = min(self.budget, shutil.disk_usage(self._folder).free // 2)
        return self.budget

    def _open(self) -> FileIO:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - as long as the store
            weakref.finalize(self, self._file.close)
        return self._file

    def _give_up(self, error: OSError) -> None:
        """Keep no more."""
        log.warning(
            "%s: %s; what memory has no room for is computed again when it is needed (TMPDIR names another folder)",
            self._folder,
            error.strerror or error,
        )
        self.budget = 0


def _usual_folder() -> Path:
    return LARGE_FILES if "TMPDIR" not in os.environ and LARGE_FILES.is_dir() else Path(tempfile.gettempdir())


def _room_for(tensor: Tensor) -> int:
    return -(-tensor.nbytes // ALIGNED) * ALIGNED


def _views(data: Tensor, tensors: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield parts of a run of bytes, one behind the other, in the shapes and with the strides of some tensors."""
    begin = 0
    for tensor in tensors:
        own = data[begin : begin + tensor.nbytes].view(tensor.dtype)
        yield own.as_strided(tensor.shape, tensor.stride(), own.storage_offset())
        begin += _room_for(tensor)


def _read(file: FileIO, begin: int, data: Tensor) -> None:
    rest = data.numpy().data
    file.seek(begin)
    while rest:  # a system reads no more than 2 GiB at once
        read = file.readinto(rest)
        if not read:
            raise OSError(f"only {begin + len(data) - len(rest)} bytes are there")
        rest = rest[read:]


def _write(file: FileIO, begin: int, data: Tensor) -> None:
    rest = data.numpy().data
    file.seek(begin)
    while rest:  # a disk that is nearly full takes a part
        rest = rest[file.write(rest) or 0 :]
