"""A sentence encoder that is not there is told when the editor is made, before any weights are read."""

import sys
from pathlib import Path

import pytest

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.editing.sentence_encoder import PACKAGED, encoder_path
from mmke.editing.settings import resolve
from mmke.errors import UserError
from mmke.types import STRICT


def test_a_missing_encoder_is_told_when_the_editor_is_made(small_data: Path) -> None:
    train = open_benchmark("mmke-entity", data=small_data).load("train", hop=0, switches=STRICT).cases
    values = resolve("ike", "tiny-llava", {"encoder": "/nowhere"})
    with pytest.raises(UserError, match="sentence encoder '/nowhere' is neither a folder"):
        registry.factory("editors", "ike")(values, STRICT, train=train, seed=0)


def test_a_package_without_its_encoder_is_to_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module, package) = PACKAGED["all-MiniLM-L6-v2"]
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(UserError, match=f"--force-reinstall {package}"):
        encoder_path("all-MiniLM-L6-v2")
