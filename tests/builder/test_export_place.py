"""An export is written whole or not at all, and the same each time; what was there before is safe."""

import shutil
from pathlib import Path

import pytest
from export_kit import content, exported

from mmke.build.export import folder as folders
from mmke.errors import UserError


def test_a_place_with_anything_else_is_refused_and_left_as_it_was(three: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file; --to takes the folder"):
        exported(three / "entity", tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        exported(three / "entity", tmp_path / "file" / "below")
    with pytest.raises(UserError, match="holds something that no export wrote"):
        exported(three / "entity", three / "semantic")
    out = tmp_path / "out"
    shutil.copytree(three / "out", out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which no export wrote"):
        exported(three / "entity", out)
    (out / "notes.txt").unlink()
    (out / "README.md").write_text("my own words")
    with pytest.raises(UserError, match=r"README.md was changed since it was exported"):
        exported(three / "entity", out)
    assert (out / "README.md").read_text() == "my own words"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_an_empty_folder_is_taken(three: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert exported(three / "entity", tmp_path / "out").made == 6


@pytest.mark.parametrize("at", [3, 17])
def test_a_full_disk_leaves_what_was_there(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(three / "out", out)
    before, copy, copied = content(out), shutil.copyfile, []

    def full(source: Path, target: Path) -> object:
        copied.append(target)
        if len(copied) == at:
            raise OSError(28, "No space left on device", str(target))
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"out cannot be written \(No space left on device\); what was there before"):
        exported(three / "entity", out)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


class KilledError(BaseException):
    """Stands for a kill: nothing of the program runs after it."""


@pytest.mark.parametrize("after", range(2))
def test_a_kill_while_folders_are_exchanged_loses_nothing(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(three / "out", out)
    before, rename, done = content(out), Path.rename, []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == after:
            raise KilledError
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        # What a kill leaves: the folder beside is not cleared away.
        patched.setattr(folders.shutil, "rmtree", lambda *args, **kwargs: None)
        with pytest.raises(KilledError):
            exported(three / "entity", out)
    assert out.exists() == (after == 0)
    exported(three / "entity", out)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_project_gives_the_same_bytes_whichever_kind_is_exported_first(three: Path, tmp_path: Path) -> None:
    for kind in ("user", "semantic", "entity"):
        exported(three / kind, tmp_path / "out")
    assert content(tmp_path / "out") == content(three / "out")
    exported(three / "semantic", tmp_path / "out")
    assert content(tmp_path / "out") == content(three / "out")
