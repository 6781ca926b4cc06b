"""MiniGPT-4's weights: Vicuna, LAVIS's two files, and the authors' linear layer under both spellings."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lavis_layout import halved, write_eva, write_trained
from layouts import LAYERS, MiniGPT4, differing, filled, minigpt4, model_folder, part, renamed, write_shards

from mmke.backbones.weights import minigpt4 as minigpt4_weights
from mmke.backbones.weights.checkpoint import Checkpoint
from mmke.backbones.weights.loading import build_skeleton
from mmke.errors import UserError

VICUNA = {"model_type": "llama"}
SPELLINGS = ("pretrained_minigpt4_7b.pth", "prerained_minigpt4_7b.pth")


def locate(weights: Path) -> Checkpoint:
    return minigpt4_weights.locate(weights, blocks=LAYERS)


@pytest.fixture(scope="module")
def model() -> Any:
    return halved(minigpt4())


def write(root: Path, model: Any, *, linear: str = SPELLINGS[0], rows: int = 0) -> Path:
    write_eva(root, model)
    write_trained(root / "blip2_pretrained_flant5xxl.pth", model, {"t5_proj.weight": torch.ones(64, 32)})
    folder = model_folder(root / "vicuna-7b", VICUNA)
    language = renamed(part(model, "language_model."), {r"language_model\.(.+)": r"\1"})
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        language[name] = torch.cat([language[name], torch.ones(rows, language[name].shape[1])])
    language |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(LAYERS)}
    write_shards(folder, language)
    write_linear(root / linear, model)
    return root


def write_linear(file: Path, model: Any) -> None:
    own = renamed(part(model, "language_projection."), {r"language_projection\.(.+)": r"llama_proj.\1"})
    constants = {
        "Qformer.bert.embeddings.position_ids": torch.arange(512)[None],
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
    }
    saved = {
        "model": own | constants,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}},
        "config": {},
        "epoch": 4,
    }
    torch.save(saved, file)


@pytest.mark.parametrize("linear", SPELLINGS)
def test_every_tensor_is_where_it_belongs(linear: str, model: Any, tmp_path: Path) -> None:
    ours = filled(model, locate(write(tmp_path, model, linear=linear)))
    assert differing(ours, model) == []


def test_logits_are_those_of_the_librarys_parts(model: Any, tmp_path: Path) -> None:
    ours = filled(model, locate(write(tmp_path, model)))
    pixels, ids = torch.linspace(-1, 1, 3 * 28 * 28).view(1, 3, 28, 28), torch.tensor([[1, 7, 8]])
    with torch.no_grad():
        assert torch.equal(ours(pixels, ids), model(pixels, ids))


def test_vicunas_added_row_is_not_taken(model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        ours = filled(model, locate(write(tmp_path, model, rows=1)))
    assert differing(ours, model) == []
    assert any("rows 300 to 300 of language_model.lm_head.weight" in message for message in caplog.messages)


def test_what_the_files_hold_beside_the_model_is_listed(model: Any, tmp_path: Path) -> None:
    unused = {name.rpartition(" ")[2] for name in locate(write(tmp_path, model)).unused}
    assert unused >= {"optimizer", "config", "epoch", "t5_proj.weight", "Qformer.bert.embeddings.position_ids"}


def test_the_layer_for_another_size_of_vicuna_is_told(model: Any, tmp_path: Path) -> None:
    write(tmp_path, model)
    saved = torch.load(tmp_path / SPELLINGS[0], weights_only=True)
    saved["model"]["llama_proj.bias"] = torch.ones(40)
    torch.save(saved, tmp_path / SPELLINGS[0])
    with pytest.raises(UserError, match=re.escape(f"{SPELLINGS[0]}: llama_proj.bias is [40] where [32] is expected")):
        locate(tmp_path).check(model)


def test_a_later_llama_in_vicunas_folder_is_told_by_its_vocabulary(model: Any, tmp_path: Path) -> None:
    write(tmp_path, model, rows=1000)
    told = "model.embed_tokens.weight is [1300, 32] where [300, 32] is expected"
    with pytest.raises(UserError, match=re.escape(told)):
        locate(tmp_path).check(model)


def test_all_that_is_lacking_is_named_at_once(model: Any, tmp_path: Path) -> None:
    write(tmp_path, model)
    (tmp_path / SPELLINGS[0]).unlink()
    (tmp_path / "eva_vit_g.pth").unlink()
    with pytest.raises(UserError, match=r"it lacks .*eva_vit_g.pth, .*pretrained_minigpt4_7b.pth"):
        locate(tmp_path)


def test_an_empty_folder_says_which_files_go_where(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mmke fetch minigpt4-7b") as caught:
        locate(tmp_path)
    told = str(caught.value)
    for name in ("vicuna-7b", "eva_vit_g.pth", "blip2_pretrained_flant5xxl.pth", SPELLINGS[0]):
        assert str(tmp_path / name) in told


def test_a_larger_picture_gets_interpolated_positions(model: Any, tmp_path: Path) -> None:
    checkpoint = locate(write(tmp_path, model))
    ours = build_skeleton(lambda: MiniGPT4(42, 300))
    checkpoint.fill(ours, dtype=lambda _: torch.float32, device=lambda _: torch.device("cpu"))
    pixels = torch.linspace(-1, 1, 3 * 42 * 42).view(1, 3, 42, 42)
    with torch.no_grad():
        library = model.vision_model(pixels, interpolate_pos_encoding=True).last_hidden_state
        assert torch.allclose(ours.eval().vision_model(pixels).last_hidden_state, library, atol=1e-6)
