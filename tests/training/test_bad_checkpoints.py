"""Checkpoints that a run cannot use: each told in one line that says which and why, before weights are read."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from grid import first_quick
from mmke import registry
from mmke.cli import main
from mmke.editing.settings import resolve
from mmke.editing.trained import KEY, TrainedFor, check_weights, read_shapes
from mmke.errors import UserError
from mmke.protocols import TrainableEditor
from mmke.training.train import TrainRequest, plan, train
from mmke.types import PROTOCOLS

WHERE = ["--backbone", "tiny-llava", "--benchmark", "mmke-user"]


class Trap:
    """Would end the program when it is read as pickles are."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exit, (3,)


@pytest.fixture(scope="module")
def good(apart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"rank": 4, "learning_rate": 1e-3, "steps": 2, "validation_records": 1}
    out = tmp_path_factory.mktemp("good")
    return train(plan(TrainRequest("mend", "tiny-llava", ("mmke-user",), changes=changes, data=apart, out=out)))


@pytest.fixture
def dry(apart: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Give a checkpoint to a dry run and return what it tells; no traceback, and nothing is written."""

    def told(checkpoint: str | Path, *, editor: str = "mend", code: int = 2) -> str:
        out = tmp_path / "results"
        given = ["--checkpoint", f"{editor}={checkpoint}", "--data", str(apart), "--out", str(out)]
        assert main(["run", *WHERE, "--editor", "mend", *given, "--dry"]) == code
        assert not out.exists()
        message = capsys.readouterr().err
        assert message.count("mmke: ") == (1 if code else 0)
        return message

    return told


def rewritten(
    good: Path, to: Path, *, facts: Mapping[str, Any] | None = None, tensors: Mapping[str, Tensor] | None = None
) -> Path:
    """Write a copy with other facts or tensors."""
    with safe_open(good, framework="pt") as opened:
        plain = json.loads(opened.metadata()[KEY])
        own = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    save_file({**own, **(tensors or {})}, to, metadata={KEY: json.dumps({**plain, **(facts or {})})})
    return to


def test_a_good_one_passes(good: Path, dry: Callable[..., str]) -> None:
    assert dry(good, code=0) == ""


@pytest.mark.parametrize("left", [0, 5, 3000, -1])
def test_one_that_is_cut_off(left: int, good: Path, tmp_path: Path, dry: Callable[..., str]) -> None:
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:left])
    assert "cut.safetensors is broken" in dry(tmp_path / "cut.safetensors")


def test_one_with_a_pickle_inside(good: Path, tmp_path: Path, dry: Callable[..., str]) -> None:
    for name, written in (("renamed.safetensors", "is broken"), ("model.pt", "is no safetensors file")):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        assert f"{name} {written}" in dry(tmp_path / name)
        torch.save({"model": Trap()}, tmp_path / name)
        assert f"{name} {written}" in dry(tmp_path / name)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"editor": "ke"}, "is a checkpoint of the editor 'ke', and this run uses 'mend'"),
        ({"backbone": "tiny-blip2"}, "is a checkpoint of the backbone 'tiny-blip2', and this run uses 'tiny-llava'"),
        ({"version": 99}, "has version 99 and this program reads 1"),
        ({"weights_revision": "others"}, "was trained for tiny-llava with the weights 'others', and these are"),
        ({"surprise": 1}, "is broken"),
    ],
)
def test_one_of_something_else(
    facts: Mapping[str, Any], message: str, good: Path, tmp_path: Path, dry: Callable[..., str]
) -> None:
    assert message in dry(rewritten(good, tmp_path / "other.safetensors", facts=facts))


def test_one_of_other_shapes_or_without_a_tensor(good: Path, tmp_path: Path, dry: Callable[..., str]) -> None:
    wrong = rewritten(good, tmp_path / "wrong.safetensors", tensors={"network.steps": torch.zeros(9)})
    assert "1 tensors differ, 'steps' is [9] there and [6] here" in dry(wrong)
    more = rewritten(good, tmp_path / "more.safetensors", tensors={"network.surprise": torch.zeros(9)})
    assert "'surprise' is [9] there and missing here" in dry(more)


def test_one_of_values_that_are_no_numbers(good: Path, tmp_path: Path, dry: Callable[..., str]) -> None:
    broken = rewritten(good, tmp_path / "nan.safetensors", tensors={"network.steps": torch.full((6,), float("nan"))})
    assert "nan.safetensors holds values that are no finite numbers" in dry(broken)


def test_one_with_a_tensor_that_belongs_to_nothing(good: Path, tmp_path: Path, dry: Callable[..., str]) -> None:
    more = rewritten(good, tmp_path / "more.safetensors", tensors={"steps": torch.zeros(6)})
    assert "holds a tensor 'steps' that belongs neither to the networks nor to their optimizer" in dry(more)


def test_one_that_does_not_say_what_it_is(good: Path, tmp_path: Path, dry: Callable[..., str]) -> None:
    for metadata, message in ((None, "does not say which editor it is of"), ({KEY: "[1]"}, "is broken")):
        save_file({"network.steps": torch.zeros(6)}, tmp_path / "bare.safetensors", metadata=metadata)
        assert message in dry(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("checkpoint", "editor", "message"),
    [
        ("nosuch", "mend", "there is no checkpoint nosuch"),
        (".", "mend", "there is no checkpoint ."),
        ("", "mend", "is not of the form EDITOR=PATH"),
        ("x", "mand", "did you mean 'mend'"),
        ("x", "ke", "a checkpoint for 'ke', which this run does not use; it uses none, mend"),
        ("x", "none", "there is no checkpoint x"),
    ],
)
def test_a_name_that_leads_nowhere(checkpoint: str, editor: str, message: str, dry: Callable[..., str]) -> None:
    assert message in dry(checkpoint, editor=editor)


def test_other_settings_than_it_was_trained_with(good: Path, apart: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--checkpoint", f"mend={good}", "--data", str(apart), "--set", "mend.rank=9", "--dry"]
    assert main(["run", *WHERE, "--editor", "mend", *given]) == 2
    assert "was trained with other settings: rank = 4 there and 9 here" in capsys.readouterr().err


def test_shapes_are_read_without_values(good: Path) -> None:
    shapes = read_shapes(good)
    assert all(tensor.is_meta for tensor in shapes.values())
    assert shapes["steps"].shape == (6,)


@pytest.mark.parametrize("protocol", first_quick(["strict", "paper"]))
@pytest.mark.parametrize("name", ["mend", "serac", "ke"])
def test_every_editor_holds_a_checkpoint_against_a_skeleton(name: str, protocol: str) -> None:
    skeleton = registry.factory("backbones", "smol-llava")(
        name="smol-llava", dtype=torch.float32, device=torch.device("cpu"), skeleton=True
    )
    assert skeleton.device.type == "meta"
    editor = registry.factory("editors", name)(
        resolve(name, "smol-llava", {}, protocol=protocol), PROTOCOLS[protocol], train=(), seed=0
    )
    assert isinstance(editor, TrainableEditor)
    with pytest.raises(UserError, match=f"{name}: the checkpoint does not fit smol-llava"):
        editor.load_state_dict(skeleton, {})
    shapes = {key: torch.empty(tensor.shape, device="meta") for key, tensor in editor.network.state_dict().items()}
    editor.load_state_dict(skeleton, shapes)
    first = min(shapes)
    with pytest.raises(UserError, match=r"1 tensors differ, .* is \[3, 3, 3\] there"):
        editor.load_state_dict(skeleton, {**shapes, first: torch.empty(3, 3, 3, device="meta")})


@pytest.mark.parametrize("earlier", ["0123456789abcdef", f"sha256 of samples {'0' * 32}"])
def test_a_revision_of_an_earlier_version_is_told_and_not_refused(
    earlier: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    facts = TrainedFor("mend", "hf:x", earlier, ("mini-user",), "strict", {}, 0, 9, {})
    check_weights(tmp_path, facts, revision=f"sha256 {'1' * 32}")
    assert "was trained by an earlier version" in caplog.text
    with pytest.raises(UserError, match="was trained for hf:x with the weights"):
        check_weights(tmp_path, replace(facts, weights_revision=f"sha256 {'2' * 32}"), revision=f"sha256 {'1' * 32}")
