"""Folders of models that are half there, damaged, or put together of two: each costs one line, as early as can be."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hf_hub import Hub, load
from safetensors.torch import load_file, save_file

from mmke.backbones.hf import model as hf
from mmke.errors import UserError

SETTINGS = ["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"]
WEIGHTS = "model.safetensors"


@pytest.fixture
def copied(hub: Hub, tmp_path: Path) -> Path:
    """A model's folder that a test may spoil."""
    return Path(shutil.copytree(hub.folder("qwen2.5-vl"), tmp_path / "model"))


def told(folder: Path, *, skeleton: bool = True) -> str:
    """Return what is told of a folder, by default before any weights are read."""
    with pytest.raises(UserError) as caught:
        load(folder, skeleton=skeleton)
    message = str(caught.value)
    assert "\n" not in message
    return message


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_tensors(folder: Path, changed: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(changed(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "cannot be read as JSON"), (b'{"a": ', "cannot be read as JSON"), (b"\xff\xfe", "JSON"), (b"[]", "object")],
)
def test_a_damaged_settings_file_is_told_by_its_name(copied: Path, name: str, content: bytes, why: str) -> None:
    (copied / name).write_bytes(content)
    message = told(copied)
    assert f"{copied / name} " in message
    assert why in message


@pytest.mark.parametrize("name", [*SETTINGS, "chat_template.jinja", "tokenizer_config.json"])
def test_a_link_to_nothing_is_told_and_not_passed_over(copied: Path, name: str) -> None:
    (copied / name).unlink()
    (copied / name).symlink_to("../blobs/abc")
    assert f"{copied / name} is a link to ../blobs/abc, which is not there" in told(copied)


def test_an_empty_chat_template_is_no_other_prompt(copied: Path) -> None:
    (copied / "chat_template.jinja").write_text("")
    assert "chat_template.jinja is empty" in told(copied)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"eos_token_id": [1, "x"]}, "'x'"),
        ({"num_hidden_layers": 99}, "99"),
        ({"num_attention_heads": 3}, "divisible"),
        ({"hidden_act": "foo"}, "'foo'"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_told(copied: Path, changes: dict[str, Any], why: str) -> None:
    config = json.loads((copied / "config.json").read_text())
    change(copied / "config.json", text_config={**config["text_config"], **changes})
    message = told(copied)
    assert str(copied) in message
    assert why in message
    assert "anew" in message


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1", b"", struct.pack("<Q", 9) + b"{"])
def test_weights_that_are_not_there_whole_are_told_before_any_are_read(copied: Path, content: bytes) -> None:
    (copied / WEIGHTS).write_bytes(content)
    assert str(copied / WEIGHTS) in told(copied)


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": {"a": "../other.safetensors"}}'])
def test_an_index_that_names_no_files_beside_itself_is_told(copied: Path, index: str) -> None:
    (copied / WEIGHTS).rename(copied.parent / "other.safetensors")
    (copied / f"{WEIGHTS}.index.json").write_text(index)
    assert str(copied / f"{WEIGHTS}.index.json") in told(copied)


def test_quantised_tensors_are_told_though_the_configuration_is_silent(copied: Path) -> None:
    change_tensors(copied, lambda own: {name: tensor.to(torch.int8) for name, tensor in own.items()})
    assert "quantised weights, which cannot be edited" in told(copied)


@pytest.mark.parametrize("of", ["internvl", "idefics3", "llava-onevision"])
def test_another_models_tokenizer_is_told_before_weights_are_read(hub: Hub, copied: Path, of: str) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(hub.folder(of) / name, copied / name)
    message = told(copied)
    assert "position of a picture" in message or "have to be of one model" in message


def test_more_words_than_the_model_has_are_told_before_weights_are_read(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    change(copied / "config.json", text_config={**config["text_config"], "vocab_size": 100})
    assert "and the model has 100" in told(copied)


def test_weights_of_another_model_are_told_in_one_line(
    hub: Hub, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(hub.folder("idefics3") / WEIGHTS, copied / WEIGHTS)
    message = told(copied, skeleton=False)
    assert "tensors of this model, among them" in message
    assert "that it does not know, such as" in message
    assert "LOAD REPORT" not in caplog.text


def test_a_tensor_of_another_shape_is_told_with_both(copied: Path) -> None:
    name = next(name for name in load_file(copied / WEIGHTS) if name.endswith("mlp.down_proj.weight"))
    change_tensors(copied, lambda own: {**own, name: own[name].T.contiguous()})
    assert "is [64, 32] in its weights and [32, 64] by its config.json" in told(copied, skeleton=False)


@pytest.mark.parametrize(
    ("value", "dtype", "why"),
    [
        (float("nan"), torch.float32, "its weights are damaged: copy them anew"),
        (float("inf"), torch.float32, "its weights are damaged: copy them anew"),
        (1e9, torch.float16, "or too large for torch.float16: take --dtype float32"),
    ],
)
def test_weights_that_are_no_numbers_are_not_taken_for_a_strange_model(
    copied: Path, value: float, dtype: torch.dtype, why: str
) -> None:
    name = next(name for name in load_file(copied / WEIGHTS) if name.endswith("mlp.down_proj.weight"))
    change_tensors(copied, lambda own: {**own, name: torch.full_like(own[name], value)})
    with pytest.raises(UserError, match=rf"{why}$"):
        load(copied, dtype=dtype)


def test_a_file_that_was_never_filled_is_told(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_tensors(copied, lambda own: {name: torch.zeros_like(tensor) for name, tensor in own.items()})
    load(copied)
    assert "of its matrices hold nothing but zeros" in caplog.text


def test_two_folders_for_one_model_are_a_mistake(hub: Hub, copied: Path) -> None:
    with pytest.raises(UserError, match=f"hf:{copied} is a folder with a model, and --weights .* another"):
        load(copied, weights=hub.folder("internvl"), skeleton=True)
    assert load(copied, weights=copied, skeleton=True).layers == 4


@pytest.mark.parametrize("where", ["reading", "asking"])
def test_too_little_memory_is_not_taken_for_a_broken_folder(
    copied: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    if where == "reading":
        monkeypatch.setattr("mmke.backbones.hf.reading.AutoModelForImageTextToText.from_pretrained", full)
    else:
        monkeypatch.setattr(hf, "own_logits", full)
    with pytest.raises(torch.OutOfMemoryError):
        load(copied)


def write_shards(folder: Path) -> None:
    """Write the same weights once more, in two files with an index."""
    own = load_file(folder / WEIGHTS)
    names = sorted(own)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: own[name] for name in part}, folder / file, metadata={"format": "pt"})
        index.update(dict.fromkeys(part, file))
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def test_shards_beside_a_file_of_other_weights_are_refused_and_alone_they_are_read(copied: Path) -> None:
    write_shards(copied)
    change_tensors(copied, lambda own: {name: tensor * 2 for name, tensor in own.items()})
    message = told(copied)
    assert f"holds {WEIGHTS} and, by {WEIGHTS}.index.json, 2 other files of weights" in message
    (copied / WEIGHTS).unlink()
    assert load(copied).layers == 4


def test_whole_files_of_torch_beside_an_index_of_missing_ones_are_what_is_read(copied: Path) -> None:
    torch.save(load_file(copied / WEIGHTS), copied / "pytorch_model.bin")
    write_shards(copied)
    for file in copied.glob("model-*"):
        file.unlink()
    (copied / WEIGHTS).unlink()
    assert load(copied).layers == 4


def test_a_configuration_that_names_another_file_of_weights_is_refused(copied: Path) -> None:
    change(copied / "config.json", transformers_weights="other.safetensors")
    assert "names a file of weights of its own (transformers_weights: 'other.safetensors')" in told(copied)


def test_an_adapter_is_no_model(copied: Path) -> None:
    (copied / "adapter_config.json").write_text("{}")
    assert "holds an adapter (adapter_config.json) beside a model" in told(copied)
    (copied / "config.json").unlink()
    assert "holds an adapter (adapter_config.json) and no model; merge it into its base model first" in told(copied)
