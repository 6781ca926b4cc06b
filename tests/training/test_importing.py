"""Checkpoints of the published code: their tensors come in, nothing else does."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmke import cli, registry
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.editing.trained import read
from mmke.editors.mend.edit import Mend
from mmke.editors.mend.published import translate
from mmke.errors import UserError
from mmke.training.published_files import read_published
from mmke.types import PAPER

LAYER = {"u": "u", "v": "v", "bias": "bias", "shift": "mode_shift.weight", "scale": "mode_scale.weight"}
SIDES = {"inputs": "u", "gradients": "v"}
STATISTICS = {"mean": "mean", "deviation": "std", "squares": "s"}


class Config:
    """As the published code's own configuration class."""


def published(name: str) -> str:
    """Return the published name of one of our tensors."""
    if name == "steps":
        return "edit_lrs"
    head, _, rest = name.partition(").")
    part, _, last = rest.partition(".")
    if part == "layers":
        number, _, last = last.partition(".")
        return f"{head}).mlp.layers.{number}.{LAYER[last]}"
    return f"{head}).{SIDES[part]}_{STATISTICS[last]}" if last != "count" else f"{head}).k"


@pytest.fixture
def trained(small_data: Path) -> tuple[Mend, dict[str, Tensor]]:
    cases = open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=PAPER).cases
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    editor = registry.factory("editors", "mend")(
        resolve("mend", "tiny-llava", {}, protocol="paper"), PAPER, train=cases, seed=3
    )
    editor.prepare(backbone, cases, store=MemoryStore())
    editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)
    own = editor.network.state_dict()
    return editor, {published(name): tensor for name, tensor in own.items()}


@pytest.fixture
def file(trained: tuple[Mend, dict[str, Tensor]], tmp_path: Path) -> Path:
    model = {**trained[1], "model_config": Config()}
    path = tmp_path / "llava_step_5000.pt"
    torch.save({"model": model, "opt": {"state": {}}, "val_stats": {"loss": 1.0}, "step": 5000}, path)
    return path


def test_every_tensor_comes_back(trained: tuple[Mend, dict[str, Tensor]], file: Path) -> None:
    back = translate(read_published(file))
    own = trained[0].network.state_dict()
    assert back.keys() == own.keys()
    assert all(torch.equal(back[name], own[name]) for name in own)


def test_an_imported_checkpoint_is_found_and_edits(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_data: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ["--backbone", "tiny-llava", "--benchmark", "mmke-user"]
    assert cli.main(["import", "mend", str(file), *where]) == 0
    written = tmp_path / "checkpoints" / "tiny-llava" / "mmke-user" / "mend" / "best.safetensors"
    assert read(written).facts.protocol == "paper"
    ran = cli.main(
        ["run", "--editor", "mend", *where, "--data", str(small_data), "--protocol", "paper", "--limit", "1"]
    )
    assert ran == 0


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ("mmke-user", r"other\.pt: 'a' is no tensor of MEND's"),
        ("mmkeuser", r"unknown benchmark 'mmkeuser'; did you mean 'mmke-user'"),
    ],
)
def test_an_import_that_fails_names_the_file_or_the_benchmark(
    benchmark: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "other.pt")
    command = ["import", "mend", str(tmp_path / "other.pt"), "--backbone", "tiny-llava", "--benchmark", benchmark]
    assert cli.main(command) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_checkpoint_of_another_editor_or_shape_is_told(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'replacement.x' is no tensor of MEND's"):
        translate({"replacement.x": torch.zeros(1)})
    found = torch.load(file, weights_only=False)
    found["model"] = {name: value for name, value in found["model"].items() if isinstance(value, Tensor)}
    found["model"]["edit_lrs"] = torch.zeros(9)
    torch.save(found, tmp_path / "other.pt")
    command = ["import", "mend", str(tmp_path / "other.pt"), "--backbone", "tiny-llava", "--benchmark", "mmke-user"]
    assert cli.main(command) == 2
