"""What is kept on disk comes back as it was; the disk's own troubles end no run, and nothing is left behind."""

import errno
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmke.backbones.engine import disk
from mmke.backbones.engine.disk import OnDisk

ROOM = 512
"""What a small tensor takes in the file."""


@dataclass(frozen=True, slots=True)
class Kept:
    hidden: tuple[Tensor, ...]
    context: dict[str, Any]


def put(store: OnDisk, names: str) -> list[str]:
    """Put a small result under each name; return those that are kept."""
    for name in names:
        store.put((name,), torch.full((3,), float(ord(name))))
    return [name for name in names if store.holds((name,))]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def open_files(folder: Path) -> Iterator[str]:
    """Yield what this process has open in a folder, also without a name."""
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(each)  # noqa: PTH115 - what it leads to has no name
        except OSError:
            continue
        if target.startswith(str(folder)):
            yield target


def test_every_tensor_comes_back_with_its_bits_its_type_and_its_strides(tmp_path: Path) -> None:
    store, wide = OnDisk(folder=tmp_path), torch.randn(5, 7)
    tensors = (wide, wide.T, wide.half(), wide > 0, torch.tensor(3), torch.zeros(0, 4), wide.bfloat16()[None])
    thing = Kept(tensors, {"mask": wide[1:2, ::2].expand(3, -1), "cache": None, "name": "n"})
    store.put(("a",), torch.ones(1000))
    store.put(("b",), thing)
    found = store.find(("b",))
    assert isinstance(found, Kept)
    for one, other in zip(found.hidden, tensors, strict=True):
        assert torch.equal(one, other)
        assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride())
    assert torch.equal(found.context["mask"], thing.context["mask"])
    assert (found.context["cache"], found.context["name"]) == (None, "n")
    assert store.find(("a",)).sum() == 1000
    assert store.find(("c",)) is None


def test_no_more_is_written_than_the_budget_and_what_is_there_stays(tmp_path: Path) -> None:
    store = OnDisk(2 * ROOM + ROOM // 2, tmp_path)
    assert put(store, "abc") == ["a", "b"]
    assert store.held == 2 * ROOM


def test_at_most_half_of_what_the_disk_has_free_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=4 * ROOM)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert put(OnDisk(folder=tmp_path), "abc") == ["a", "b"]


def test_nothing_is_written_with_a_budget_of_zero(tmp_path: Path) -> None:
    assert put(OnDisk(0, tmp_path / "not there"), "a") == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not say which files are open")
def test_the_file_has_no_name_and_is_closed_with_its_store(tmp_path: Path) -> None:
    store = OnDisk(folder=tmp_path)
    assert not list(open_files(tmp_path))  # until something is kept
    put(store, "a")
    assert list(tmp_path.iterdir()) == []
    assert len(list(open_files(tmp_path))) == 1
    del store
    assert not list(open_files(tmp_path))


def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(**_: object) -> None:  # as the system does; root may write everywhere
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refused)
    check_told_once(OnDisk(folder=tmp_path), tmp_path, caplog)


def test_a_folder_that_is_not_there_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check_told_once(OnDisk(folder=tmp_path / "x"), tmp_path / "x", caplog)


def check_told_once(store: OnDisk, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert put(store, "abc") == []
    (told,) = caplog.messages
    assert told.startswith(f"{folder}: ")
    assert "is computed again" in told


def test_a_disk_that_gets_full_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = OnDisk(folder=tmp_path)
    put(store, "a")
    monkeypatch.setattr(disk, "_write", full)
    with caplog.at_level(logging.WARNING):
        assert put(store, "bc") == []
    (told,) = caplog.messages
    assert "No space left on device; what memory has no room for is computed again" in told
    assert store.find(("a",)).tolist() == [97.0] * 3


def test_what_cannot_be_read_any_more_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = OnDisk(folder=tmp_path)
    put(store, "ab")
    assert store._file is not None
    store._file.truncate(ROOM)
    with caplog.at_level(logging.WARNING):
        assert store.find(("b",)) is None
        assert store.find(("a",)) is not None
    assert "only 512 bytes are there" in caplog.text
    assert not store.holds(("b",))
    assert put(store, "c") == []


def test_a_slow_disk_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready, write = threading.Event(), disk._write

    def slow(*given: Any) -> None:
        ready.wait(10)
        write(*given)

    monkeypatch.setattr(disk, "_write", slow)
    monkeypatch.setattr(disk, "WAITING", ROOM)
    store = OnDisk(folder=tmp_path, all_of_it=False)
    assert put(store, "abc") == ["a", "b"]
    ready.set()
    assert store.find(("b",)).tolist() == [98.0] * 3
    assert put(store, "cd") == ["c", "d"]


def test_what_a_disk_refuses_later_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = OnDisk(folder=tmp_path, all_of_it=False)
    put(store, "a")
    monkeypatch.setattr(disk, "_write", full)
    with caplog.at_level(logging.WARNING):
        put(store, "bc")
        found = [store.find((name,)) for name in "bca"]
    assert [each is None for each in found] == [True, True, False]
    (told,) = caplog.messages
    assert "No space left on device" in told


def test_large_files_go_where_unix_has_them_or_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LARGE_FILES", tmp_path)
    monkeypatch.delenv("TMPDIR", raising=False)
    assert OnDisk()._folder == tmp_path
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108 - nothing is written
    monkeypatch.setattr("tempfile.tempdir", None)
    assert OnDisk()._folder == Path("/tmp")  # noqa: S108
