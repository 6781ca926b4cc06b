"""LLaVA's weights: the hub's converted folder, old and new names, and the original with its CLIP image encoder."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import LAYERS, differing, filled, llava, model_folder, part, renamed, write_shards
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig

from mmke.backbones.weights.llava import locate
from mmke.errors import UserError

CONVERTED = {"model_type": "llava", "text_config": {}, "vision_config": {}}
ORIGINAL = {"model_type": "llava", "mm_vision_tower": "openai/clip-vit-large-patch14-336"}
CLIP = {"model_type": "clip"}
OLD_NAMES = {
    r"model\.vision_tower\.(.+)": r"vision_tower.vision_model.\1",
    r"model\.multi_modal_projector\.(.+)": r"multi_modal_projector.\1",
    r"model\.language_model\.(.+)": r"language_model.model.\1",
    r"lm_head\.(.+)": r"language_model.lm_head.\1",
}
NAMES_OF_4_52 = {r"model\.vision_tower\.(.+)": r"model.vision_tower.vision_model.\1", r"(.+)": r"\1"}
ORIGINAL_NAMES = {
    r"model\.language_model\.(.+)": r"model.\1",
    r"model\.multi_modal_projector\.linear_1\.(.+)": r"model.mm_projector.0.\1",
    r"model\.multi_modal_projector\.linear_2\.(.+)": r"model.mm_projector.2.\1",
    r"lm_head\.(.+)": r"lm_head.\1",
}


@pytest.fixture(scope="module")
def model() -> Any:
    return llava()


def rotary() -> dict[str, Tensor]:
    return {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(LAYERS)}


def write_original(root: Path, model: Any, extra: dict[str, Tensor] | None = None) -> Path:
    folder = model_folder(root / "llava-v1.5-7b", ORIGINAL)
    language = {name: t for name, t in model.state_dict().items() if "vision_tower" not in name}
    write_shards(folder, renamed(language, ORIGINAL_NAMES) | rotary() | (extra or {}))
    return folder


def write_tower(root: Path, model: Any) -> Path:
    folder = model_folder(root / "clip-vit-large-patch14-336", CLIP)
    tower = renamed(part(model, "model.vision_tower."), {r"model\.vision_tower\.(.+)": r"vision_model.\1"})
    text = {
        "logit_scale": torch.tensor(2.6),
        "text_projection.weight": torch.ones(4, 4),
        "visual_projection.weight": torch.ones(4, 32),
        "text_model.embeddings.position_ids": torch.arange(77)[None],
        "text_model.embeddings.token_embedding.weight": torch.ones(9, 4),
        "text_model.final_layer_norm.bias": torch.ones(4),
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
    }
    torch.save(tower | text, folder / "pytorch_model.bin")
    return folder


def write_old(root: Path, model: Any) -> Path:
    folder = model_folder(root / "llava-1.5-7b-hf", CONVERTED)
    write_shards(folder, renamed(model.state_dict(), OLD_NAMES), kind="safetensors", shards=3)
    return root


def write_4_52(root: Path, model: Any) -> Path:
    folder = model_folder(root / "llava-1.5-7b-hf", CONVERTED)
    save_file(renamed(model.state_dict(), NAMES_OF_4_52), folder / "model.safetensors")
    return folder


def write_today(root: Path, model: Any) -> Path:
    folder = model_folder(root / "mine", CONVERTED)
    model.save_pretrained(folder)
    return folder


def write_published(root: Path, model: Any) -> Path:
    write_original(root, model)
    write_tower(root, model)
    return root


def write_together(root: Path, model: Any) -> Path:
    names = {r"model\.vision_tower\.(.+)": r"model.vision_tower.vision_tower.vision_model.\1"}
    tower = renamed(part(model, "model.vision_tower."), names)
    position_ids = {"model.vision_tower.vision_tower.vision_model.embeddings.position_ids": torch.arange(5)[None]}
    return write_original(root, model, tower | position_ids)


LAYOUTS = [write_old, write_4_52, write_today, write_published, write_together]


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_tensor_of_every_layout_is_where_it_belongs(
    write: Callable[..., Path], model: Any, tmp_path: Path
) -> None:
    checkpoint = locate(write(tmp_path, model))
    assert differing(filled(model, checkpoint), model) == []


@pytest.mark.parametrize("write", [write_old, write_published])
def test_logits_are_the_librarys_own(write: Callable[..., Path], model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "library")
    library = type(model).from_pretrained(tmp_path / "library").eval()
    ours = filled(model, locate(write(tmp_path, model)))
    inputs = {
        "input_ids": torch.tensor([[1, 299, 299, 299, 299, 7, 8]]),
        "pixel_values": torch.linspace(-1, 1, 3 * 28 * 28).view(1, 3, 28, 28),
    }
    with torch.no_grad():
        assert torch.equal(ours(**inputs).logits, library(**inputs).logits)


@pytest.mark.parametrize("write", [write_old, write_4_52])
def test_the_library_reads_the_converted_names_alike(write: Callable[..., Path], model: Any, tmp_path: Path) -> None:
    checkpoint = locate(write(tmp_path, model))
    model.config.save_pretrained(checkpoint.tokenizer)
    assert differing(filled(model, checkpoint), type(model).from_pretrained(checkpoint.tokenizer)) == []


def test_the_image_encoder_is_taken_from_clip_as_the_library_saves_it(model: Any, tmp_path: Path) -> None:
    text = CLIPTextConfig(
        vocab_size=9, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    clip = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=model.config.vision_config.to_dict()))
    tower = renamed(part(model, "model.vision_tower."), {r"model\.vision_tower\.(.+)": r"\1"})
    clip.vision_model.load_state_dict(tower)
    write_original(tmp_path, model)
    clip.save_pretrained(tmp_path / "clip-vit-large-patch14-336")
    assert differing(filled(model, locate(tmp_path)), model) == []


def test_what_the_layout_has_and_the_model_takes_not_is_listed(model: Any, tmp_path: Path) -> None:
    unused = locate(write_published(tmp_path, model)).unused
    assert {name.rpartition(" ")[2] for name in unused} == {
        *rotary(),
        "logit_scale",
        "text_projection.weight",
        "visual_projection.weight",
        "text_model.embeddings.position_ids",
        "text_model.embeddings.token_embedding.weight",
        "text_model.final_layer_norm.bias",
        "vision_model.embeddings.position_ids",
    }


def test_rows_beyond_the_vocabulary_are_left_out_and_told(
    model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = {
        name: torch.cat([tensor, torch.full((64, tensor.shape[1]), 9.0)]) if name.endswith(TABLES) else tensor
        for name, tensor in renamed(model.state_dict(), OLD_NAMES).items()
    }
    save_file(tensors, model_folder(tmp_path, CONVERTED) / "model.safetensors")
    with caplog.at_level("INFO"):
        assert differing(filled(model, locate(tmp_path)), model) == []
    assert "rows 300 to 363 of lm_head.weight, beyond the vocabulary, are not taken" in caplog.messages


TABLES = ("embed_tokens.weight", "lm_head.weight")


def test_an_unknown_tensor_is_an_error_that_names_it(model: Any, tmp_path: Path) -> None:
    write_tower(tmp_path, model)
    write_original(tmp_path, model, {"model.image_newline": torch.ones(4)})
    with pytest.raises(
        UserError, match=r"unknown to this model: llava-v1.5-7b/pytorch_model-0000.*model.image_newline"
    ):
        locate(tmp_path).check(model)


def test_another_size_of_the_model_is_told_by_its_first_shape(model: Any, tmp_path: Path) -> None:
    write_published(tmp_path, llava(hidden=64))
    told = r"pytorch_model-0000.*: model\..*64.* where .*32.* is expected.* and \d+ more"
    with pytest.raises(UserError, match=told) as caught:
        locate(tmp_path).check(model)
    assert "\n" not in str(caught.value)


def test_a_much_larger_vocabulary_is_another_model(model: Any, tmp_path: Path) -> None:
    write_published(tmp_path, llava(vocabulary=365))
    with pytest.raises(UserError, match=re.escape("[365, 32] where [300, 32] is expected")):
        locate(tmp_path).check(model)


def test_without_the_image_encoder_it_says_what_goes_where(model: Any, tmp_path: Path) -> None:
    write_original(tmp_path, model)
    with pytest.raises(UserError, match="put the hub's openai/clip-vit-large-patch14-336 at") as caught:
        locate(tmp_path)
    assert str(tmp_path / "clip-vit-large-patch14-336") in str(caught.value)


def test_another_kind_of_model_is_told_from_its_configuration(tmp_path: Path) -> None:
    model_folder(tmp_path, {"model_type": "llama"})
    with pytest.raises(UserError, match=r"config.json is of a 'llama' model, where LLaVA-1.5 is of kind"):
        locate(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({})])
def test_an_unreadable_configuration_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config.json (cannot be read|holds no|is of a None)"):
        locate(tmp_path)


def test_an_empty_folder_says_which_files_go_where(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mmke fetch llava-1.5-7b") as caught:
        locate(tmp_path)
    told = str(caught.value)
    assert f"llava-hf/llava-1.5-7b-hf at {tmp_path / 'llava-1.5-7b-hf'}" in told
    assert f"liuhaotian/llava-v1.5-7b at {tmp_path / 'llava-v1.5-7b'}" in told


@pytest.mark.parametrize(("make", "told"), [(False, "is not there"), (True, "is a file")])
def test_a_folder_that_is_none_is_told(make: bool, told: str, tmp_path: Path) -> None:  # noqa: FBT001
    if make:
        (tmp_path / "x").touch()
    with pytest.raises(UserError, match=told):
        locate(tmp_path / "x")


def test_without_a_folder_it_looks_here_and_then_in_the_hubs_cache(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match="hugging_cache and the hub's cache"):
        locate(None)
    write_cached(tmp_path / "hub", model)
    assert "hub" in str(locate(None).tokenizer)
    write_published(tmp_path / "hugging_cache", model)
    assert locate(None).tokenizer == Path("hugging_cache/llava-v1.5-7b")


def write_cached(cache: Path, model: Any) -> None:
    repository = cache / "models--llava-hf--llava-1.5-7b-hf"
    write_old(repository / "snapshots", model)
    (repository / "snapshots" / "llava-1.5-7b-hf").rename(repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
