"""Roles are found by shape and place."""

from types import SimpleNamespace

import pytest
from hf_hub import Hub
from torch import nn

from mmke.backbones.hf.sites import mlp_slots
from mmke.errors import UserError

LLAMA = {"mlp_in": "mlp.up_proj", "mlp_out": "mlp.down_proj"}
TEXT = SimpleNamespace(hidden_size=8)


@pytest.mark.parametrize(
    ("name", "tower", "alignment", "language"),
    [
        ("llava-onevision", "model.vision_tower", "model.multi_modal_projector", "model.language_model"),
        ("qwen2.5-vl", "model.visual", "model.visual.merger", "model.language_model"),
        ("glm4v", "model.visual", "model.visual.merger", "model.language_model"),
        ("idefics3", "model.vision_model", "model.connector", "model.text_model"),
    ],
)
def test_every_role_is_found(hub: Hub, name: str, tower: str, alignment: str, language: str) -> None:
    backbone = hub.load(name, skeleton=True)
    assert (backbone.site("vision"), backbone.site("alignment"), backbone.site("language")) == (
        tower,
        alignment,
        language,
    )


def layer(**parts: nn.Module) -> nn.Module:
    return nn.ModuleDict(parts)


def mlp(**widths: tuple[int, int]) -> nn.Module:
    return nn.ModuleDict({name: nn.Linear(*width) for name, width in widths.items()})


def attention() -> nn.Module:
    return mlp(q_proj=(8, 16), k_proj=(8, 4), v_proj=(8, 4), o_proj=(16, 8))


def test_of_gate_and_value_the_value_is_edited() -> None:
    found = layer(self_attn=attention(), mlp=mlp(gate_proj=(8, 16), up_proj=(8, 16), down_proj=(16, 8)))
    assert mlp_slots(found, TEXT) == LLAMA
    numbered = layer(self_attn=attention(), feed_forward=mlp(w1=(8, 16), w3=(8, 16), w2=(16, 8)))
    assert mlp_slots(numbered, TEXT) == {"mlp_in": "feed_forward.w3", "mlp_out": "feed_forward.w2"}


def test_gate_and_value_may_be_one_linear() -> None:
    found = layer(self_attn=attention(), mlp=mlp(gate_up_proj=(8, 32), down_proj=(16, 8)))
    assert mlp_slots(found, TEXT) == {"mlp_in": "mlp.gate_up_proj", "mlp_out": "mlp.down_proj"}


def test_the_order_of_parts_does_not_matter() -> None:
    found = layer(mlp=mlp(gate_proj=(8, 16), up_proj=(8, 16), down_proj=(16, 8)), self_attn=attention())
    assert mlp_slots(found, TEXT) == LLAMA


def test_linears_may_stand_in_the_layer_itself() -> None:
    found = layer(self_attn=attention(), fc1=nn.Linear(8, 16), fc2=nn.Linear(16, 8))
    assert mlp_slots(found, TEXT) == {"mlp_in": "fc1", "mlp_out": "fc2"}


def test_attention_is_no_mlp() -> None:
    assert mlp_slots(layer(self_attn=attention()), TEXT) == {}


def test_a_model_without_such_linears_has_no_site(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmke.backbones.hf.sites.mlp_slots", lambda *_: {})
    with pytest.raises(UserError, match="no linear that plays the role mlp_in"):
        hub.load("internvl", skeleton=True).site("language", 0, "mlp_in")
