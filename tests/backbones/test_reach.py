"""An edited tensor below a trunk's cut is refused, and what an edit is made of holds every pack of a batch."""

from typing import Any

import pytest
import torch
from hf_hub import Hub

from mmke import api
from mmke.backbones.engine import packing
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.reach import check_above
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.factors import Factors, factors
from mmke.protocols import INPUTS, OUTPUT, VISION, Batch, Cut
from mmke.types import Ask, Query

QUERIES = [Query("What is it?"), Query("Which flag?"), Query("Who is here, and where?")]


@pytest.fixture(scope="module", params=["tiny-llava", "tiny-blip2"])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    loaded = api.load_backbone(request.param)
    assert isinstance(loaded, ComposedBackbone)
    return loaded


def batch(backbone: ComposedBackbone) -> Batch:
    return backbone.encode(QUERIES, ["a flag", "red", "nobody"], Ask())


@pytest.mark.parametrize(
    ("cut", "above", "below"),
    [
        (VISION, ["alignment", "language.0.mlp_in"], ["vision"]),
        (INPUTS, ["language.0.mlp_in"], ["vision", "alignment", "embed"]),
        (Cut("layer", 1), ["language.1.attention", "language.2.mlp_in"], ["alignment", "language.0.mlp_out"]),
        (Cut("mlp", 1), ["language.1.mlp_in", "language.2.attention"], ["language.1.attention", "language.0.mlp_in"]),
        (Cut("mlp", -1), ["language.3.mlp_out", "head"], ["language.2.mlp_out", "language.3.attention"]),
        (OUTPUT, ["head"], ["language.3.mlp_out", "alignment"]),
    ],
    ids=str,
)
def test_only_what_lies_above_the_cut_is_edited(
    backbone: ComposedBackbone, cut: Cut, above: list[str], below: list[str]
) -> None:
    trunk = backbone.trunk(batch(backbone), cut, store=MemoryStore())
    for role in above:
        backbone.tail(trunk, {parameter(backbone, role): backbone.module.get_parameter(parameter(backbone, role))})
    for role in below:
        name = parameter(backbone, role)
        with pytest.raises(ValueError, match=f"{name} of {backbone.name} lies below the cut"):
            backbone.tail(trunk, {name: backbone.module.get_parameter(name)})


def parameter(backbone: ComposedBackbone, role: str) -> str:
    """Return the name of a parameter that plays a role."""
    if role in ("vision", "alignment"):
        where = backbone.site(role)  # type: ignore[arg-type]
        return f"{where}.{next(name for name, _ in backbone.module.get_submodule(where).named_parameters())}"
    if role in ("embed", "head"):
        part = backbone.decoder.embed if role == "embed" else backbone.decoder.head
        return next(f"{name}.weight" for name, each in backbone.module.named_modules() if each is part)
    _, layer, slot = role.split(".")
    if slot == "attention":
        return f"{backbone.site('language', int(layer))}.self_attn.q_proj.weight"
    return f"{backbone.site('language', int(layer), slot)}.weight"  # type: ignore[arg-type]


def test_a_batch_of_several_packs_is_edited_as_a_whole(
    backbone: ComposedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, make = parameter(backbone, "language.1.mlp_out"), packing.make_batch

    def made(limit: int) -> Factors:
        def limited(encoded: Any, images: Any, _groups: Any, **more: Any) -> Batch:
            return make(encoded, images, [0, 1, 2], limit=limit, device=more["device"])

        with monkeypatch.context() as patched:
            patched.setattr(packing, "make_batch", limited)
            asked = batch(backbone)
        target = torch.tensor([token for each in asked.encoded for token in each.target_ids])
        trunk = backbone.trunk(asked, Cut("mlp", 1), store=MemoryStore())
        assert len(asked.packs) == (1 if limit > 1 else 3)
        return factors(backbone, trunk, [name], target, {})[name]

    together, apart = made(1000), made(1)
    assert together.inputs.shape == apart.inputs.shape
    torch.testing.assert_close(together.gradient(), apart.gradient(), rtol=1e-4, atol=1e-7)


def test_an_alignment_inside_the_tower_lies_above_it(hub: Hub) -> None:
    skeleton = hub.load("qwen2.5-vl", skeleton=True)
    tower, alignment = skeleton.site("vision"), skeleton.site("alignment")
    assert alignment.startswith(f"{tower}.")
    named = [name for name, _ in skeleton.module.named_parameters() if name.startswith(f"{tower}.")]
    check_above(skeleton, VISION, [name for name in named if name.startswith(f"{alignment}.")])
    for name in named:
        if not name.startswith(f"{alignment}."):
            with pytest.raises(ValueError, match="lies below the cut"):
                check_above(skeleton, VISION, [name])
