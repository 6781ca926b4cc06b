"""Digests of files: of all bytes, computed once, and again when a file has changed."""

import hashlib
import os
from pathlib import Path

import pytest

from mmke import digests

LARGE = digests.SMALL + 5


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mmke" / "digests"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A large file that has not changed for a while."""
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(LARGE))
    os.utime(path, (1, 1))
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes were read."""
    found: list[Path] = []
    whole = digests._chunks
    monkeypatch.setattr(digests, "_chunks", lambda path, size: found.append(path) or whole(path, size))
    return found


def expected(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_digest_is_of_all_bytes_and_computed_once(file: Path, read: list[Path]) -> None:
    assert digests.sha256(file) == digests.sha256(file) == expected(file)
    assert read == [file]


def test_a_file_that_changed_is_read_again(file: Path, read: list[Path]) -> None:
    before = digests.sha256(file)
    content = bytearray(file.read_bytes())
    content[LARGE // 2] = 1
    file.write_bytes(content)
    os.utime(file, (2, 2))
    assert digests.sha256(file) == expected(file) != before
    assert read == [file, file]


def test_a_file_that_changed_just_now_is_not_kept(file: Path, cache: Path) -> None:
    os.utime(file)
    digests.sha256(file)
    assert not cache.exists()


def test_one_file_by_two_paths_is_read_once(file: Path, read: list[Path], tmp_path: Path) -> None:
    link = tmp_path / "link.bin"
    link.symlink_to(file)
    assert digests.sha256(file) == digests.sha256(link)
    assert len(read) == 1


def test_without_a_place_to_keep_it_the_digest_is_computed(file: Path, tmp_path: Path, read: list[Path]) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert digests.sha256(file) == digests.sha256(file) == expected(file)
    assert len(read) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"stamp": 1}', "\x00"])
def test_a_broken_entry_is_computed_anew(file: Path, cache: Path, content: str) -> None:
    digests.sha256(file)
    (entry,) = cache.iterdir()
    entry.write_text(content)
    assert digests.sha256(file) == expected(file)
    assert entry.read_text() != content


def test_a_cache_folder_that_is_no_absolute_path_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert digests.cache_folder() == Path.home() / ".cache" / "mmke" / "digests"
