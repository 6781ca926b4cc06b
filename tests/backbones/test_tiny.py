"""The tiny models answer as the library's own forward pass does, and read the prompts of their full-size siblings."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.tiny import BOS, PATCHES, QUERIES, VOCABULARY, byte_tokenizer
from mmke.protocols import OUTPUT, Cut
from mmke.testing.records import draw_picture
from mmke.types import Ask, ImageRef, Query

IMAGE_TOKEN = VOCABULARY - 1
ALL = Ask(positions="all")


def load(name: str) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=torch.float32, device=torch.device("cpu"))


def ids(text: str) -> list[int]:
    return list(byte_tokenizer()(text)["input_ids"])


@pytest.fixture
def picture(tmp_path: Path) -> ImageRef:
    draw_picture(tmp_path / "red.png", "red")
    return ImageRef(tmp_path / "red.png", "red")


def our_logits(backbone: ComposedBackbone, query: Query) -> torch.Tensor:
    batch = backbone.encode([query], ["tin"], ALL)
    return backbone.tail(backbone.trunk(batch, OUTPUT, store=MemoryStore()), {})


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("tiny-llava", [BOS, *[IMAGE_TOKEN] * PATCHES, *ids("What? tin")]),
        ("tiny-blip2", [*[IMAGE_TOKEN] * QUERIES, BOS, *ids("What? tin")]),
    ],
)
@torch.no_grad()
def test_an_image_query_gives_the_logits_of_the_librarys_class(name: str, prompt: list[int], picture: ImageRef) -> None:
    backbone = load(name)
    with Image.open(picture.path) as opened:
        pixels = backbone.vision.pixels(opened)[None]
    theirs = backbone.module(
        input_ids=torch.tensor([prompt]), pixel_values=pixels, attention_mask=torch.ones(1, len(prompt)).long()
    ).logits[0]
    ours = our_logits(backbone, Query("What?", picture))
    torch.testing.assert_close(ours.log_softmax(-1), theirs.log_softmax(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "with_image", "without"),
    [
        ("tiny-llava", [BOS, *range(-1, -1 - PATCHES, -1), *ids("a b c")], [BOS, *ids("a b c")]),
        ("tiny-blip2", [*range(-1, -1 - QUERIES, -1), BOS, *ids("a b c")], [BOS, *ids("a b c")]),
        (
            "tiny-minigpt4",
            [*ids("###Human: <Img>"), *range(-1, -1 - QUERIES, -1), *ids("</Img> "), *ids("a b c")],
            ids("a b c"),
        ),
    ],
)
def test_the_prompt_is_laid_out_as_published(
    name: str, with_image: list[int], without: list[int], picture: ImageRef
) -> None:
    backbone = load(name)
    batch = backbone.encode([Query("a b", picture), Query("a b")], ["c", "c"], ALL)
    assert [list(encoded.input_ids) for encoded in batch.encoded] == [with_image, without]
    assert backbone.length(Query("a b", picture), "c") == len(with_image)


def test_an_adapter_of_another_precision_computes_in_its_own(picture: ImageRef) -> None:
    backbone = registry.factory("backbones", "tiny-minigpt4")(
        name="tiny-minigpt4", dtype=torch.bfloat16, device=torch.device("cpu")
    )
    name = f"{backbone.site('language', -1, 'mlp_in')}.weight"
    weight = backbone.module.get_parameter(name).float().requires_grad_()
    seen = []
    module = backbone.module.get_submodule(name.removesuffix(".weight"))
    handle = module.register_forward_hook(lambda _module, args, output: seen.append((args[0].dtype, output.dtype)))
    batch = backbone.encode([Query("a b")], ["c"], Ask())
    logits = backbone.tail(backbone.trunk(batch, OUTPUT, store=MemoryStore()), {})
    batch = backbone.encode([Query("a b")], ["c"], Ask())
    edited = backbone.tail(backbone.trunk(batch, Cut("mlp", -1), store=MemoryStore()), {name: weight})
    handle.remove()
    edited.float().sum().backward()
    assert seen[-1] == (torch.float32, torch.float32)
    assert edited.dtype == logits.dtype == torch.bfloat16
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
