"""The image side of any model, divided before its alignment: the same bits, gradients, and no tower run twice."""

import pytest
import torch
from hf_hub import Hub
from torch import Tensor

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.structure import bytes_of
from mmke.backbones.engine.substitution import call_with
from mmke.running.fingerprint import fingerprint
from mmke.types import ImageRef

MODELS = ["llava-onevision", "qwen2.5-vl", "internvl", "idefics3", "llava", "glm4v"]


def own(backbone: ComposedBackbone, picture: ImageRef) -> Tensor:
    """Return a picture's embeddings as the model's own call gives them."""
    found = backbone.module.model.get_image_features(**backbone.pixels(picture).inputs).pooler_output
    pieces = [found] if isinstance(found, Tensor) else found
    return torch.cat([piece.flatten(0, -2) for piece in pieces])


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_two_halves_give_the_models_own_bits(hub: Hub, picture: ImageRef, name: str) -> None:
    backbone = hub.load(name)
    features = backbone.vision.encode(backbone.pixels(picture))
    whole = own(backbone, picture)
    assert torch.equal(backbone.vision.align([features]), whole)
    assert torch.equal(backbone.vision.align([features, features]), torch.cat([whole, whole]))


@pytest.mark.parametrize("name", MODELS)
def test_an_edited_alignment_acts_and_takes_gradient(hub: Hub, picture: ImageRef, name: str) -> None:
    backbone = hub.load(name)
    with torch.no_grad():
        features = backbone.vision.encode(backbone.pixels(picture))
    site = backbone.site("alignment")
    edited = {
        f"{site}.{tensor}": (value.detach() * 1.1).requires_grad_()
        for tensor, value in backbone.module.get_submodule(site).named_parameters()
        if value.ndim == 2
    }
    aligned = call_with(backbone.module, edited, backbone.vision.align, [features])
    assert not torch.equal(aligned, backbone.vision.align([features]))
    aligned.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in edited.values())


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_nothing_before_the_alignment_is_run_again(hub: Hub, picture: ImageRef, name: str) -> None:
    backbone = hub.load(name)
    features = backbone.vision.encode(backbone.pixels(picture))
    tower = backbone.module.get_submodule(backbone.site("vision"))
    alignment = backbone.module.get_submodule(backbone.site("alignment"))
    before = {part for part in tower.modules() if next(part.parameters(recurse=False), None) is not None}
    calls: list[str] = []
    handles = [
        part.register_forward_hook(lambda part, *_: calls.append(type(part).__name__))
        for part in before - set(alignment.modules())
    ]
    try:
        backbone.vision.align([features])
    finally:
        for handle in handles:
            handle.remove()
    assert not calls


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_dividing_leaves_the_model_as_it_was(hub: Hub, picture: ImageRef, name: str) -> None:
    backbone = hub.load(name)
    before = fingerprint(backbone.module)
    backbone.vision.align([backbone.vision.encode(backbone.pixels(picture))])
    assert fingerprint(backbone.module) == before


@torch.no_grad()
def test_what_is_kept_of_a_picture_is_its_pixels_and_the_alignments_input(hub: Hub, picture: ImageRef) -> None:
    backbone = hub.load("llava-onevision")
    features = backbone.vision.encode(backbone.pixels(picture))
    fed = bytes_of(features.fed)
    assert fed > 0
    assert bytes_of(features) == fed + bytes_of(features.inputs)
