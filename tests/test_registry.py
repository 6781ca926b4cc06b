"""Names: what another package adds is found, what is taken is refused, and every entry resolves."""

import ast
import sys
from pathlib import Path

import pytest

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve, resolve_switches
from mmke.errors import UserError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.types import PROTOCOLS, STRICT, EditCase

SHOUTING = '''
"""An editor of another package: it answers as the unedited model does."""

from mmke.editors.none.edit import NullEditor


def make(settings, switches, *, train, seed):
    assert settings == {"volume": 11}
    return NullEditor(name="shouting")
'''


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package with an entry point into a folder on the path."""
    package, metadata = tmp_path / "shouting", tmp_path / "shouting-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    (package / "edit.py").write_text(SHOUTING)
    (package / "shouting.toml").write_text("volume = 3\n[backbone.tiny-llava]\nvolume = 11\n")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mmke.editors]\nshouting = shouting.edit:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return metadata


def test_an_editor_of_another_package_runs(other_package: Path, small_data: Path, tmp_path: Path) -> None:
    request = Request("tiny-llava", ("shouting",), ("mmke-user",), limit=1, data=small_data, out=tmp_path / "out")
    folders = run(plan(request))
    assert [folder.name for folder in folders] == ["none", "shouting"]
    assert "another package" in registry.summary(registry.import_string("editors", "shouting"))
    for name in ("shouting", "shouting.edit"):
        sys.modules.pop(name, None)


def test_a_taken_name_is_refused(other_package: Path) -> None:
    (other_package / "entry_points.txt").write_text("[mmke.editors]\nike = shouting.edit:make\n")
    with pytest.raises(UserError, match="editor 'ike' is registered twice"):
        registry.import_string("editors", "ike")


@pytest.mark.parametrize("noun", list(registry.BUILT_IN))
def test_every_name_resolves_to_a_described_factory(noun: registry.Noun) -> None:
    for name, where in registry.names(noun).items():
        assert callable(registry.factory(noun, name))
        assert registry.summary(where)


@pytest.fixture(scope="module")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases


@pytest.mark.parametrize("backbone", [*registry.BUILT_IN["backbones"], "llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b"])
@pytest.mark.parametrize("editor", list(registry.BUILT_IN["editors"]))
def test_every_settings_file_fits_its_editor_on_every_backbone(
    editor: str, backbone: str, train: tuple[EditCase, ...]
) -> None:
    for protocol, switches in PROTOCOLS.items():
        values = resolve(editor, backbone, {}, protocol=protocol)
        made = registry.factory("editors", editor)(values, resolve_switches(switches, editor), train=train, seed=0)
        assert made.name == editor
        assert values.keys() == resolve(editor, backbone, {}).keys()


@pytest.mark.parametrize("editor", list(registry.BUILT_IN["editors"]))
def test_every_setting_is_read_by_the_editor_that_states_it(editor: str) -> None:
    # MSCKE's counterfactual model and its training are SERAC's.
    packages = [registry.package_files("editors", each) for each in (editor, *(["serac"] if editor == "mscke" else []))]
    read_in = [file for package in packages for file in Path(str(package)).glob("*.py")]
    nodes = [node for file in read_in for node in ast.walk(ast.parse(file.read_text()))]
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    assert set(resolve(editor, "tiny-llava", {})) <= read


def test_the_published_settings_are_those_of_the_paper() -> None:
    for backbone, rate in {"llava-1.5-7b": 1e-4, "minigpt4-7b": 1e-4, "blip2-opt-2.7b": 2e-4}.items():
        assert resolve("ft-llm", backbone, {})["steps"] == 40
        assert resolve("ft-alignment", backbone, {})["steps"] == 30
        assert (
            resolve("ft-llm", backbone, {})["learning_rate"]
            == resolve("ft-alignment", backbone, {})["learning_rate"]
            == rate
        )
        assert resolve("ike", backbone, {})["demonstrations"] == 25


def test_a_name_far_from_all_gets_no_guess() -> None:
    with pytest.raises(UserError, match=r"unknown metric 'zzz' \(mmke ls metrics\)"):
        registry.import_string("metrics", "zzz")
