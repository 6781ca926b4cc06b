"""Sites name attention projections too: of the models here and of any other, fused ones told as such."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from grid import first_quick
from mmke import api
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.projections import find_projections, projection
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.factors import factors
from mmke.editing.sites import cut_below, parameters, reach
from mmke.errors import UserError
from mmke.protocols import VISION, Cut
from mmke.types import Ask, Edit, Query

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj"]
BACKBONES = ["tiny-llava", "tiny-minigpt4", "tiny-blip2"]


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    loaded = api.load_backbone(request.param)
    assert isinstance(loaded, ComposedBackbone)
    return loaded


def test_each_projection_is_found_and_lies_above_its_cut(backbone: ComposedBackbone) -> None:
    names = parameters(backbone, [f"language.-1.{role}" for role in PROJECTIONS])
    assert len(set(names)) == 4
    assert all(".3.self_attn." in name for name in names)
    assert cut_below(backbone, ["language.-1.mlp_in", "language.3.q_proj"]) == Cut("layer", 3)
    assert cut_below(backbone, ["language.2.mlp_in", "language.3.q_proj"]) == Cut("mlp", 2)
    assert cut_below(backbone, ["language.2.mlp_in", "language.-2.v_proj"]) == Cut("layer", 2)


def test_a_site_may_name_the_last_layers_or_all(backbone: ComposedBackbone) -> None:
    for layers, lowest in (("-3:", 1), ("-12:", 0), ("*", 0)):
        names = parameters(backbone, [f"language.{layers}.mlp_out"])
        assert [f".{number}." in name for number, name in enumerate(names, lowest)] == [True] * (4 - lowest)
        assert cut_below(backbone, [f"language.{layers}.mlp_out"]) == Cut("mlp", lowest)
    assert cut_below(backbone, ["language.-2:.mlp_in", "projection"]) == VISION


def test_the_projection_is_what_leads_into_the_language_model(backbone: ComposedBackbone) -> None:
    names = parameters(backbone, ["projection"])
    width = backbone.decoder.config.hidden_size
    assert len(backbone.module.get_parameter(names[-1])) == width
    assert len(names) == (2 if backbone.name == "tiny-llava" else 1)
    assert not reach(["projection"], Query("Who?"))


@pytest.mark.parametrize("role", first_quick(PROJECTIONS))
def test_fine_tuning_a_projection_teaches_the_edit_and_leaves_the_model(backbone: ComposedBackbone, role: str) -> None:
    query, before = Query("What is it?"), api.say(backbone, "What is it?")
    sites = [f"language.-2.{role}", f"language.-1.{role}"]
    editor = api.load_editor("ft-llm", backbone=backbone.name, sites=sites, steps=30, learning_rate=0.03)
    batch = backbone.encode([query], ["a flag"], Ask())
    trunk = backbone.trunk(batch, Cut("layer", 2), store=MemoryStore())
    target = torch.tensor(batch.encoded[0].target_ids)
    with editor.open(backbone, MemoryStore()) as session:
        session.apply([Edit(query, "a flag")])
        edited = cross_entropy(backbone.tail(trunk, session.weights), target)  # type: ignore[attr-defined]
    assert edited < cross_entropy(backbone.tail(trunk, {}), target) - 0.01
    assert api.say(backbone, "What is it?") == before


def test_the_factors_of_a_projection_make_its_gradient(backbone: ComposedBackbone) -> None:
    batch = backbone.encode([Query("What is it?")], ["a flag"], Ask())
    target = torch.tensor(batch.encoded[0].target_ids)
    names = parameters(backbone, [f"language.1.{role}" for role in PROJECTIONS])
    trunk = backbone.trunk(batch, Cut("layer", 1), store=MemoryStore())
    found = factors(backbone, trunk, names, target, {})
    own = {name: backbone.module.get_parameter(name).clone().requires_grad_() for name in names}
    gradients = torch.autograd.grad(cross_entropy(backbone.tail(trunk, own), target), list(own.values()))
    for name, gradient in zip(names, gradients, strict=True):
        torch.testing.assert_close(found[name].gradient(), gradient, rtol=1e-4, atol=1e-7)


def layer(**parts: tuple[int, int]) -> nn.Module:
    attention = nn.Module()
    for name, (into, out) in parts.items():
        attention.add_module(name, nn.Linear(into, out))
    whole = nn.Module()
    whole.add_module("self_attention", attention)
    return whole


def test_other_names_and_fused_ones_are_known() -> None:
    fused = find_projections([layer(query_key_value=(8, 16), dense=(8, 8))] * 2, 8)
    assert projection(fused, "o_proj", "hf:x") == "self_attention.dense"
    told = "hf:x computes query, key and value in one linear"
    with pytest.raises(UserError, match=told):
        projection(fused, "q_proj", "hf:x")
    apart = find_projections([layer(wq=(8, 8), wk=(8, 4), wv=(8, 4), wo=(8, 8))], 8)
    assert [apart[role] for role in PROJECTIONS] == [f"self_attention.{name}" for name in ("wq", "wk", "wv", "wo")]


def test_a_layer_without_one_says_so() -> None:
    mixed = find_projections([layer(q_proj=(8, 8), o_proj=(8, 8)), layer(in_proj=(8, 8), o_proj=(8, 8))], 8)
    with pytest.raises(UserError, match="hf:x has no linear that plays the role q_proj"):
        projection(mixed, "q_proj", "hf:x")
