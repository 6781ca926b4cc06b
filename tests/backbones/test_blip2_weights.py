"""BLIP-2's weights: the hub's converted folder, and OPT with LAVIS's two files."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lavis_layout import halved, write_eva, write_trained
from layouts import LAYERS, blip2, differing, filled, model_folder, part, renamed, write_shards
from torch import Tensor

from mmke.backbones.weights import blip2 as blip2_weights
from mmke.backbones.weights.checkpoint import Checkpoint
from mmke.errors import UserError

CONVERTED = {"model_type": "blip-2"}
OPT = {"model_type": "opt"}
WITH_HEAD = {r"language_model\.(.+)": r"\1"}
BARE = {r"language_model\.model\.(.+)": r"\1"}


def locate(weights: Path) -> Checkpoint:
    return blip2_weights.locate(weights, blocks=LAYERS)


@pytest.fixture(scope="module")
def model() -> Any:
    return halved(blip2())


def projection(model: Any) -> dict[str, Tensor]:
    return renamed(part(model, "language_projection."), {r"language_projection\.(.+)": r"opt_proj.\1"})


def write_lavis(root: Path, model: Any) -> None:
    write_eva(root, model)
    write_trained(root / "blip2_pretrained_opt2.7b.pth", model, projection(model), text=True)


def write_published(root: Path, model: Any) -> Path:
    write_lavis(root, model)
    folder = model_folder(root / "opt-2.7b", OPT)
    torch.save(renamed(part(model, "language_model."), WITH_HEAD), folder / "pytorch_model.bin")
    return root


def write_published_bare(root: Path, model: Any) -> Path:
    write_lavis(root, model)
    folder = model_folder(root / "opt-2.7b", OPT)
    write_shards(folder, renamed(part(model, "language_model.model."), BARE))
    return root


def write_published_by_the_library(root: Path, model: Any) -> Path:
    write_lavis(root, model)
    model.language_model.save_pretrained(model_folder(root / "opt-2.7b", OPT))
    return root


def write_hub(root: Path, model: Any) -> Path:
    write_shards(model_folder(root / "blip2-opt-2.7b", CONVERTED), model.state_dict(), kind="bin")
    return root


def write_today(root: Path, model: Any) -> Path:
    model.save_pretrained(model_folder(root, CONVERTED))
    return root


LAYOUTS = [write_published, write_published_bare, write_published_by_the_library, write_hub, write_today]


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_tensor_of_every_layout_is_where_it_belongs(
    write: Callable[..., Path], model: Any, tmp_path: Path
) -> None:
    ours = filled(model, locate(write(tmp_path, model)))
    assert differing(ours, model) == []
    assert ours.language_model.lm_head.weight is ours.language_model.model.decoder.embed_tokens.weight


@pytest.mark.parametrize("write", [write_published, write_hub])
def test_logits_are_the_librarys_own(write: Callable[..., Path], model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "library")
    library = type(model).from_pretrained(tmp_path / "library").eval()
    ours = filled(model, locate(write(tmp_path, model)))
    inputs = {
        "input_ids": torch.tensor([[299, 299, 299, 2, 7, 8]]),
        "pixel_values": torch.linspace(-1, 1, 3 * 28 * 28).view(1, 3, 28, 28),
    }
    with torch.no_grad():
        assert torch.equal(ours(**inputs).logits, library(**inputs).logits)


def test_a_larger_picture_gets_interpolated_positions(
    model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        ours = filled(blip2(side=42), locate(write_published(tmp_path, model)))
    assert "position embeddings of pos_embed are interpolated from 2x2 to 3x3 patches" in caplog.messages
    pixels = torch.linspace(-1, 1, 3 * 42 * 42).view(1, 3, 42, 42)
    with torch.no_grad():
        library = model.vision_model(pixels, interpolate_pos_encoding=True).last_hidden_state
        assert torch.allclose(ours.vision_model(pixels).last_hidden_state, library, atol=1e-6)
    table = ours.vision_model.embeddings.position_embedding
    assert torch.equal(table[:, 0], model.vision_model.embeddings.position_embedding[:, 0])


def test_what_the_layout_has_and_the_model_takes_not_is_listed(model: Any, tmp_path: Path) -> None:
    unused = {name.rpartition(" ")[2] for name in locate(write_published(tmp_path, model)).unused}
    text = {
        "Qformer.bert.embeddings.position_ids",
        "Qformer.bert.embeddings.word_embeddings.weight",
        "Qformer.bert.embeddings.position_embeddings.weight",
        "Qformer.bert.encoder.layer.0.intermediate.dense.weight",
        "Qformer.bert.encoder.layer.0.output.LayerNorm.bias",
        "Qformer.cls.predictions.bias",
    }
    end = {f"{name}.{kind}" for name in ("norm", "head") for kind in ("weight", "bias")}
    assert unused >= text | end
    # norms, projection, MLP with a weight and a bias each, and the table of queries, keys and values with its one bias
    last = {name for name in unused - text - end if name.startswith(f"blocks.{LAYERS}.")}
    assert unused == text | end | last
    assert len(last) == 2 * 5 + 2


def test_a_padded_vocabulary_is_cut(model: Any, tmp_path: Path) -> None:
    tensors = {
        name: torch.cat([tensor, torch.ones(32, tensor.shape[1])])
        if "embed_tokens" in name or "lm_head" in name
        else tensor
        for name, tensor in model.state_dict().items()
    }
    write_shards(model_folder(tmp_path, CONVERTED), tensors, kind="safetensors")
    assert differing(filled(model, locate(tmp_path)), model) == []


def test_a_head_of_its_own_is_another_model(model: Any, tmp_path: Path) -> None:
    tensors = model.state_dict()
    tensors["language_model.lm_head.weight"] = torch.ones_like(tensors["language_model.lm_head.weight"])
    write_shards(model_folder(tmp_path, CONVERTED), tensors)
    with pytest.raises(UserError, match=r"embed_tokens.weight and .*lm_head.weight differ"):
        filled(model, locate(tmp_path))


@pytest.mark.parametrize("lost", ["opt-2.7b", "eva_vit_g.pth", "blip2_pretrained_opt2.7b.pth"])
def test_a_part_that_is_not_there_is_named_with_its_place(lost: str, model: Any, tmp_path: Path) -> None:
    write_published(tmp_path, model)
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=re.escape(f"it lacks {tmp_path / lost}: download them (mmke fetch")):
        locate(tmp_path)


def test_the_encoder_alone_is_no_beginning(model: Any, tmp_path: Path) -> None:
    write_eva(tmp_path, model)
    with pytest.raises(UserError, match=r"blip2-opt-2.7b has no weights in .*mmke fetch blip2-opt-2.7b"):
        locate(tmp_path)


def test_another_language_model_in_its_folder_is_told(model: Any, tmp_path: Path) -> None:
    write_published(tmp_path, model)
    model_folder(tmp_path / "opt-2.7b", {"model_type": "llama"})
    with pytest.raises(UserError, match=r"is of a 'llama' model, where opt-2.7b is of kind opt"):
        locate(tmp_path)


def test_a_larger_opt_in_its_folder_is_told_by_a_shape(model: Any, tmp_path: Path) -> None:
    write_published(tmp_path, model)
    larger = {name: torch.ones([2 * size for size in t.shape]) for name, t in part(model, "language_model.").items()}
    torch.save(renamed(larger, WITH_HEAD), tmp_path / "opt-2.7b" / "pytorch_model.bin")
    told = (
        "of another shape: opt-2.7b/pytorch_model.bin: model.decoder.embed_tokens.weight is [600, 64] where [300, 32]"
    )
    with pytest.raises(UserError, match=re.escape(told)):
        locate(tmp_path).check(model)


def test_a_missing_bias_is_named(model: Any, tmp_path: Path) -> None:
    write_published(tmp_path, model)
    file = tmp_path / "eva_vit_g.pth"
    tensors = torch.load(file, weights_only=True)
    del tensors["blocks.1.attn.v_bias"]
    torch.save(tensors, file)
    told = r"missing: vision_model.encoder.layers.1.self_attn.qkv.bias; unknown to this model: .*blocks.1.attn.q_bias;"
    with pytest.raises(UserError, match=told):
        locate(tmp_path).check(model)
