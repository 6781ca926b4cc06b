"""Models in the layouts of the published weights: an exported folder keeps its names, and the library writes by it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import test_blip2_weights as blip2_files
import test_llava_weights as llava_files
import test_minigpt4_weights as minigpt4_files
import torch
from lavis_layout import halved
from layouts import LAYERS, blip2, differing, filled, llava, minigpt4
from torch import Tensor
from transformers import Blip2ForConditionalGeneration, LlavaForConditionalGeneration

from grid import first_quick
from mmke.backbones import blip2 as blip2_backbone
from mmke.backbones import llava as llava_backbone
from mmke.backbones import minigpt4 as minigpt4_backbone
from mmke.backbones.weights import minigpt4 as minigpt4_weights
from mmke.edits.export.folder import write_folder
from mmke.errors import UserError

STEPS = 4


class Layout(NamedTuple):
    """How a model is made, written, found again and loaded by the library."""

    model: Callable[[], Any]
    write: Callable[[Path, Any], Path]
    backbone: Any
    library: Any
    edited: tuple[str, ...]


LLAVA = ("model.language_model.layers.1.mlp.down_proj.weight", "model.multi_modal_projector.linear_1.bias")
BLIP2 = ("language_model.model.decoder.layers.1.fc2.weight", "language_projection.bias", "qformer.layernorm.weight")
LAYOUTS: Mapping[str, Layout] = {
    "llava, names of before 2025": Layout(
        llava, llava_files.write_old, llava_backbone, LlavaForConditionalGeneration, LLAVA
    ),
    "llava, of 4.52": Layout(llava, llava_files.write_4_52, llava_backbone, LlavaForConditionalGeneration, LLAVA),
    "llava, of today": Layout(llava, llava_files.write_today, llava_backbone, LlavaForConditionalGeneration, LLAVA),
    "blip2, torch's files": Layout(blip2, blip2_files.write_hub, blip2_backbone, Blip2ForConditionalGeneration, BLIP2),
    "blip2, of today": Layout(blip2, blip2_files.write_today, blip2_backbone, Blip2ForConditionalGeneration, BLIP2),
}


def changed(model: Any, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return other values for some tensors of a model."""
    generator = torch.Generator().manual_seed(0)
    own = dict(model.named_parameters())
    return {name: own[name] + torch.randn(own[name].shape, generator=generator) for name in names}


def written(model: Any, side: int) -> Tensor:
    """Return what the library's own decoding writes in a left-padded batch of two questions."""
    image = model.config.image_token_index
    count = 4 if isinstance(model, LlavaForConditionalGeneration) else 3
    rows = [[image] * count + [1, 7, 8, 9, 11], [image] * count + [1, 5]]
    widest = max(map(len, rows))
    with torch.no_grad():
        made: Tensor = model.generate(
            input_ids=torch.tensor([[0] * (widest - len(row)) + row for row in rows]),
            attention_mask=torch.tensor([[0] * (widest - len(row)) + [1] * len(row) for row in rows]),
            pixel_values=torch.linspace(-1, 1, 2 * 3 * side * side).view(2, 3, side, side),
            max_new_tokens=STEPS,
            min_new_tokens=STEPS,
            do_sample=False,
            pad_token_id=0,
        )
    return made[:, -STEPS:]


@pytest.mark.parametrize("name", first_quick(LAYOUTS))
def test_the_library_loads_the_edited_model_and_writes_by_it(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    model = layout.model()
    folder = layout.write(tmp_path / "base", model)
    place = next(file.parent for file in folder.rglob("config.json"))
    model.config.save_pretrained(place)
    source = layout.backbone.source(name="its-name", weights=folder, module=model)
    meant = changed(model, layout.edited)
    own = dict(model.named_parameters())
    stored = {each: source.find(each, own[each]) for each in meant}
    write_folder(source, tmp_path / "out", stored, meant, note="")
    found = layout.library.from_pretrained(tmp_path / "out").eval()
    before = written(model, 28)
    model.load_state_dict(meant, strict=False)
    assert differing(found, model) == []
    assert torch.equal(written(found, 28), written(model, 28))
    assert not torch.equal(before, written(model, 28))


@pytest.mark.slow
def test_minigpt4_keeps_its_published_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minigpt4_backbone, "locate", minigpt4_files.locate)
    model = halved(minigpt4())
    (tmp_path / "base").mkdir()
    source = minigpt4_backbone.source(
        name="minigpt4-7b", weights=minigpt4_files.write(tmp_path / "base", model), module=model
    )
    names = ("language_model.model.layers.1.mlp.down_proj.weight", "language_projection.bias", "qformer.layernorm.bias")
    meant, own = changed(model, names), dict(model.named_parameters())
    stored = {each: source.find(each, own[each]) for each in meant}
    write_folder(source, tmp_path / "out", stored, meant, note="")
    assert {file.name for file in (tmp_path / "out").iterdir()} > {"vicuna-7b", "eva_vit_g.pth"}
    model.load_state_dict(meant, strict=False)
    assert differing(filled(model, minigpt4_weights.locate(tmp_path / "out", blocks=LAYERS)), model) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "write", "backbone", "told"),
    [
        (llava, llava_files.write_published, llava_backbone, "fetch the hub's llava-hf/llava-1.5-7b-hf"),
        (blip2, blip2_files.write_published, blip2_backbone, "fetch the hub's Salesforce/blip2-opt-2.7b"),
    ],
)
def test_published_parts_that_the_library_does_not_load_are_refused(
    model: Callable[[], Any], write: Callable[[Path, Any], Path], backbone: Any, told: str, tmp_path: Path
) -> None:
    made = model()
    with pytest.raises(UserError, match=told):
        backbone.source(name="its-name", weights=write(tmp_path, made), module=made)


@pytest.mark.slow
def test_a_tensor_with_other_values_than_the_models_is_not_overwritten(tmp_path: Path) -> None:
    model = llava()
    source = llava_backbone.source(name="llava", weights=llava_files.write_today(tmp_path, model), module=model)
    with pytest.raises(UserError, match=r"hold no tensors that can be lm_head\.weight"):
        source.find("lm_head.weight", torch.zeros(300, 32))
