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
from concurrent.futures import Future, ThreadPoolExecutor
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

WAITING = 256 << 20
"""Bytes that may wait to be written."""

ALIGNED = 512
"""Tensors begin at multiples of this many bytes, as those that torch allocates do at least."""


class _Written(NamedTuple):
    """Where in the file the tensors of a result are, the result with tensors that have no data, and its writing."""

    begin: int
    size: int
    empty: Any
    done: Future[None]


class OnDisk:
    """Keeps results up to `budget` bytes; when the disk refuses, it keeps no more and says so once."""

    def __init__(self, budget: int = MOST, folder: Path | None = None, *, all_of_it: bool = True) -> None:
        """Take a budget in bytes, and the folder whose disk is used; the file is made when something is first kept.

        Args:
            budget: in bytes.
            folder: whose disk is used; without one, that of `TMPDIR`, or the usual one for large temporary files.
            all_of_it: keep everything, and wait for the disk. Else a slow disk is not waited for: while `WAITING` bytes
                are still to be written, what comes is not kept.
        """
        self.budget, self.held = budget, 0
        self._folder = folder or _usual_folder()
        self._all = all_of_it
        self._file: FileIO | None = None
        self._writer = ThreadPoolExecutor(1, "mmke-disk")
        self._waiting: list[_Written] = []
        self._written: dict[tuple[object, ...], _Written] = {}

    def holds(self, key: tuple[object, ...]) -> bool:
        """Tell whether something is kept under `key`."""
        return key in self._written

    def find(self, key: tuple[object, ...]) -> Any:
        """Return what is kept under `key`, in the machine's memory; None when it is not there."""
        if self._file is None or key not in self._written:
            return None
        begin, size, empty, done = self._written[key]
        data = torch.empty(size, dtype=torch.uint8)
        try:
            done.result()
            _read(self._file, begin, data)
        except OSError as error:
            del self._written[key]
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
            if not 0 < size <= self._budget() - self.held or (not self._all and self._is_behind()):
                return
            data = torch.empty(size, dtype=torch.uint8)
            for view, tensor in zip(_views(data, tensors_in(empty)), tensors_in(thing), strict=True):
                view.copy_(tensor)
            written = _Written(self.held, size, empty, self._writer.submit(_write, self._open(), self.held, data))
            if self._all:
                written.done.result()
        except OSError as error:
            self._give_up(error)
            return
        self._waiting.append(written)
        self._written[key] = written
        self.held += size

    def _is_behind(self) -> bool:
        """Tell whether too much is still to be written.

        Raises:
            OSError: the disk has refused something meanwhile.
        """
        for each in self._waiting:
            if each.done.done():
                each.done.result()
        self._waiting = [each for each in self._waiting if not each.done.done()]
        return sum(each.size for each in self._waiting) > WAITING

    def _budget(self) -> int:
        if self._file is None and self.budget:
            self.budget = min(self.budget, shutil.disk_usage(self._folder).free // 2)
        return self.budget

    def _open(self) -> FileIO:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - as long as the store
            weakref.finalize(self, _end, self._writer, self._file)
        return self._file

    def _give_up(self, error: OSError) -> None:
        """Keep no more."""
        if self.budget:
            log.warning(
                "%s: %s; what memory has no room for is computed again when it is needed (TMPDIR names another folder)",
                self._folder,
                error.strerror or error,
            )
        self.budget = 0
        self._waiting.clear()


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
    while rest:  # a system reads no more than 2 GiB at once
        read = os.preadv(file.fileno(), [rest], begin)
        if not read:
            raise OSError(f"only {begin} bytes are there")
        rest, begin = rest[read:], begin + read


def _write(file: FileIO, begin: int, data: Tensor) -> None:
    rest = data.numpy().data
    while rest:  # a disk that is nearly full takes a part
        written = os.pwrite(file.fileno(), rest, begin)
        rest, begin = rest[written:], begin + written


def _end(writer: ThreadPoolExecutor, file: FileIO) -> None:
    writer.shutdown(cancel_futures=True)
    file.close()
