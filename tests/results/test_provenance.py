"""Versions without imports, and the commit of the project's own checkout alone."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mmke.results.provenance import project_commit, versions

GIT = shutil.which("git") or ""
needs_git = pytest.mark.skipif(not GIT, reason="no git")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run([GIT, "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package committed in a repository of its own."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    package = tmp_path / "src" / "package"
    package.mkdir(parents=True)
    (package / "module.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return package


def test_versions_are_those_installed_and_need_no_import() -> None:
    assert versions()["torch"] == version("torch")
    program = "import sys; from mmke.results.provenance import versions; versions(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@needs_git
def test_a_clean_checkout_gives_its_commit(package: Path) -> None:
    commit = project_commit(package)
    assert commit is not None
    assert commit.sha == git(package, "rev-parse", "HEAD")
    assert not commit.dirty


@needs_git
@pytest.mark.parametrize("name", ["module.py", "new.py"])
def test_a_changed_or_new_file_makes_it_dirty(package: Path, name: str) -> None:
    (package / name).write_text("x = 2\n")
    commit = project_commit(package)
    assert commit is not None
    assert commit.dirty


@needs_git
def test_a_change_outside_the_package_does_not(package: Path) -> None:
    (package.parents[1] / "notes.txt").write_text("mine")
    commit = project_commit(package)
    assert commit is not None
    assert not commit.dirty


@needs_git
def test_an_environment_inside_a_foreign_repository_has_no_commit(package: Path) -> None:
    installed = package.parents[1] / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("x = 1\n")
    assert project_commit(installed) is None


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert project_commit() is None
