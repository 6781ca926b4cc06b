"""What a user installs is the wheel: it has everything, nothing else, and works without the tree beside it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = {"src/mmke": "mmke", "benchmarks/mmke_bench": "mmke_bench"}
MOST_MEGABYTES = 100
"""What the index of Python packages takes."""


def _tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: git says which files belong to the package")
    git = shutil.which("git") or "git"
    told = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in told.decode().split("\0") if name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tracked files: building leaves folders in the tree."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in _tracked():
        if name.startswith(("src/", "benchmarks/mmke_bench/", "LICENSES/")) or "/" not in name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(out), str(copy)], check=True, timeout=300)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it, and the libraries of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=300)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Folders of such a file are searched after the environment's own, and their .pth files are not read: an editable
    # installation of the tree is not found through it.
    (packages / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def _run(environment: Path, folder: Path, *words: str) -> str:
    command = [str(environment / "bin" / words[0]), *words[1:]]
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_every_tracked_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    wanted = {
        name.replace(tree, package, 1)
        for name in _tracked()
        for tree, package in PACKAGES.items()
        if name.startswith(f"{tree}/")
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
    assert found == wanted
    assert wheel.stat().st_size < MOST_MEGABYTES * 1_000_000


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_its_metadata_say_what_an_index_shows(metadata: Message) -> None:
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("License-File") or []) == {"LICENSE", "THIRD_PARTY.md", "LICENSES/Apache-2.0.txt"}
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Project-URL") is None  # the project has no public address yet


def test_its_commands_work_without_the_tree(environment: Path, tmp_path: Path) -> None:
    where = _run(environment, tmp_path, "python", "-c", "import mmke, mmke_bench; print(mmke.__file__)")
    assert Path(where.strip()).is_relative_to(environment)
    assert _run(environment, tmp_path, "mmke", "--version").startswith("mmke 0.")
    assert "smol-llava" in _run(environment, tmp_path, "mmke", "ls")
    assert "mini-entity" in _run(environment, tmp_path, "mmke", "check", "mini-entity")
    assert "--install-completion" in _run(environment, tmp_path, "python", "-m", "mmke", "--help")


def test_a_run_and_its_table_work_without_the_tree(environment: Path, tmp_path: Path) -> None:
    tiny = ("--backbone", "tiny-llava", "--benchmark", "mini-entity", "--limit", "1")
    assert "ft-llm" in _run(environment, tmp_path, "mmke", "run", *tiny, "--editor", "ft-llm", "--editor", "ike")
    assert "| ft-llm |" in _run(environment, tmp_path, "mmke", "table", "--format", "markdown")


def test_a_benchmark_is_built_without_the_tree(environment: Path, tmp_path: Path) -> None:
    _run(environment, tmp_path, "mmke", "build", "new", "birds")
    told = _run(environment, tmp_path, "mmke", "build", "run", "birds")
    assert "next: mmke build verify birds" in told
