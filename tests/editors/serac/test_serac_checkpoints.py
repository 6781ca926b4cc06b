"""SERAC's checkpoints: what is saved, what comes back, ours and the published code's."""

import copy
from dataclasses import replace

import pytest
import torch
from serac_kit import (
    ASK,
    answers,
    editor,
    learn,
    same,
)

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.tiny import LAYERS
from mmke.editors.serac.edit import make
from mmke.errors import UserError
from mmke.types import PAPER, STRICT, EditCase


@pytest.mark.parametrize("rank", [0, 2])
def test_adopting_gives_the_same_answers(
    rank: int, llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train, rank=rank)
    learn(made, llava, train[:1], 2)
    kept = {name: tensor.clone() for name, tensor in made.networks().state_dict().items()}
    other = make(made.settings.__dict__, STRICT, train=(), seed=1)
    other.load_state_dict(llava, kept)
    edits, probes = cases[0].edits, cases[0].probes
    assert same(answers(made, llava, edits, probes, ASK), answers(other, llava, edits, probes, ASK))


def test_a_frozen_encoder_and_base_weights_are_not_saved(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    saved = editor(llava, encoder, train, rank=2).networks().state_dict()
    assert not [name for name in saved if "classifier" in name or "copies" in name]
    assert {name for name in saved if name.startswith("scope.")} == {
        "scope.scale",
        "scope.head.weight",
        "scope.head.bias",
        "scope.picture_head.weight",
        "scope.picture_head.bias",
    }
    assert all(f"layers/{LAYERS - 1}/" in name for name in saved if name.startswith("counterfactual."))


def test_tensors_of_another_rank_are_told(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    kept = editor(llava, encoder, train, rank=2).networks().state_dict()
    with pytest.raises(UserError, match="does not fit tiny-llava"):
        editor(llava, encoder, train, rank=3).load_state_dict(llava, kept)


def test_a_published_checkpoint_comes_in(
    llava: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    cases: tuple[EditCase, ...],
    models: dict[str, str],
) -> None:
    changes = {"encoder_trained": True, "head": 0, "counterfactual": models["llama"], "embeddings": "base"}
    made = editor(llava, encoder, train, PAPER, **changes)
    learn(made, llava, train[:1], 1)
    own = made.networks().state_dict()
    published = {
        name.replace("counterfactual.copies.language/", "replacement.").replace("scope.", "").replace("/", "."): tensor
        for name, tensor in own.items()
    }
    published |= {"scale": torch.tensor(1.0), "language_projection.weight": torch.zeros(2, 2)}
    other = editor(llava, encoder, train, PAPER, **changes)
    other.load_state_dict(llava, other.translate(published))
    said = [answers(each, llava, cases[0].edits, cases[0].probes, ASK) for each in (made, other)]
    assert "replacement.model.layers.1.mlp.up_proj.weight" in published
    assert same(*said)


def test_a_published_checkpoint_of_another_editor_is_told(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    with pytest.raises(UserError, match="'edit_lrs' is no tensor of SERAC's"):
        editor(llava, encoder, train, PAPER).translate({"edit_lrs": torch.zeros(6)})


@pytest.mark.parametrize("name", ["llama", "random"])
def test_a_checkpoint_is_held_against_a_skeleton(
    name: str, llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    made = editor(llava, encoder, train, PAPER, counterfactual=models.get(name, name))
    bare = replace(llava, module=copy.deepcopy(llava.module).to("meta"))
    parts = {"model": bare.module.get_submodule("model.language_model"), "head": bare.module.get_submodule("lm_head")}
    bare = replace(bare, decoder=replace(llava.decoder, layers=parts["model"].layers, **parts))  # type: ignore[arg-type]
    kept = made.networks().state_dict()
    made.load_state_dict(bare, kept)
    with pytest.raises(UserError, match="does not fit"):
        made.load_state_dict(bare, {name: tensor for name, tensor in kept.items() if "up_proj" not in name})
