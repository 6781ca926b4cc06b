"""The example package: what its README quotes is its code, mmke finds it, and its own three-line tests pass."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmke import registry
from mmke.backbones.engine.store import MemoryStore
from mmke.testing import TINY, editors, metrics, shared_kit
from mmke.testing.editors import EditorTrial, one_session_keeps_the_main_claims

EXAMPLE = Path(__file__).parents[1] / "examples" / "mmke-example-editor"
SOURCE = EXAMPLE / "src"
PROJECT = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the package on the path, with the entry points that its pyproject.toml states."""
    metadata = tmp_path / "mmke_example_editor-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mmke-example-editor\nVersion: 0.1.0\n")
    groups = PROJECT["entry-points"].items()
    lines = [line for group, names in groups for line in (f"[{group}]", *(f"{n} = {v}" for n, v in names.items()))]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(SOURCE))
    yield
    for name in [name for name in sys.modules if name.startswith("mmke_example")]:
        del sys.modules[name]


def test_what_the_readme_quotes_stands_in_the_files() -> None:
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    files = [path.read_text() for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml"}]
    assert len(blocks) >= 5
    for block in blocks:
        for paragraph in block.strip().split("\n\n"):
            lines = [line.strip() for line in paragraph.splitlines()]
            assert any(all(line in file for line in lines) for file in files), paragraph


@pytest.mark.usefixtures("found")
def test_its_names_are_registered_with_a_summary() -> None:
    for noun in ("editors", "metrics"):
        for name, where in PROJECT["entry-points"][f"mmke.{noun}"].items():
            assert registry.names(noun)[name] == where  # type: ignore[index]
            assert "(" not in registry.summary(where)


@pytest.mark.usefixtures("found")
def test_its_editor_keeps_the_main_claims(request: pytest.FixtureRequest) -> None:
    one_session_keeps_the_main_claims(EditorTrial(shared_kit(request), "one-step", "tiny-llava", {}, MemoryStore()))


@pytest.mark.slow
def test_it_is_installed_and_its_own_tests_and_a_run_pass(tmp_path: Path) -> None:
    copy, place = tmp_path / "copy", tmp_path / "installed"
    shutil.copytree(EXAMPLE, copy)  # building leaves files beside the source
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(place)]
    path = os.pathsep.join([str(place), *filter(None, sys.path)])

    def python(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python(*pip, str(copy))
    count = len(editors.CLAIMS) * len(TINY) + len(metrics.CLAIMS)
    assert f"{count} passed" in python("pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "one-step" in python("mmke.cli", "ls", "editors")
    run = ("run", "--backbone", "tiny-llava", "--editor", "one-step", "--benchmark", "mini-entity", "--limit", "1")
    assert "one-step" in python("mmke.cli", *run, "--out", str(tmp_path / "results"))
