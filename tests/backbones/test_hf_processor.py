"""What a processor's files do not state is told by its name; a picture has as many positions as embeddings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hf_hub import Hub, load
from PIL import Image

from mmke.errors import CannotAskError, UserError

PROCESSOR, PICTURES = "processor_config.json", "preprocessor_config.json"


@pytest.fixture
def copy(hub: Hub, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a model's folder for a test to spoil."""
    return lambda name: Path(shutil.copytree(hub.folder(name), tmp_path / name))


def change(file: Path, **changes: Any) -> None:
    stated = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in stated.items() if value is not None}))


def told(folder: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, **options)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


def test_a_blip2_folder_takes_its_positions_from_the_processors_file(hub: Hub, copy: Callable[[str], Path]) -> None:
    assert hub.load("blip2").layers == 4
    folder = copy("blip2")
    (folder / PROCESSOR).unlink()
    message = told(folder)
    assert "states no num_query_tokens: copy the model's own there" in message


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("blip2", {"num_query_tokens": 1}, "the model makes 3 embeddings of a picture, and its processor 1 positions"),
        ("blip2", {"num_query_tokens": 4}, "the model makes 3 embeddings of a picture, and its processor 4 positions"),
        ("llava", {"num_additional_image_tokens": 0}, "makes 4 embeddings of a picture, and its processor 3 positions"),
        ("internvl", {"image_seq_length": 2}, "makes 3 embeddings of a picture, and its processor 6 positions"),
        ("idefics3", {"image_seq_len": 2}, "makes 5 embeddings of a picture, and its processor 10 positions"),
        ("llava", {"patch_size": None}, "processor_config.json states no patch_size: copy the model's own there"),
    ],
)
def test_positions_that_are_not_the_embeddings_are_refused(
    copy: Callable[[str], Path], name: str, changes: dict[str, Any], why: str
) -> None:
    folder = copy(name)
    change(folder / PROCESSOR, **changes)
    assert why in told(folder)


def test_every_later_picture_is_counted_as_well(hub: Hub) -> None:
    vision = hub.load("llava").vision
    pixels = vision.pixels(Image.new("RGB", (40, 30)))
    object.__setattr__(pixels, "positions", pixels.positions + 1)
    with pytest.raises(CannotAskError, match="makes 4 embeddings of a picture, and its processor 5 positions for them"):
        vision.encode(pixels)


def test_a_processor_that_wants_its_part_for_videos_has_a_stand_in(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", ModuleType("num2words"))
    assert hub.load("smolvlm").layers == 4


def test_a_package_that_a_processor_needs_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    assert "needs a package that is not installed (Package `num2words`" in told(hub.folder("smolvlm"), skeleton=True)


@pytest.mark.parametrize("file", [PICTURES, "tokenizer_config.json"])
def test_the_class_of_a_processor_may_stand_in_any_of_its_files(copy: Callable[[str], Path], file: str) -> None:
    folder = copy("llava")
    stated = json.loads((folder / PROCESSOR).read_text()).pop("processor_class")
    change(folder / PROCESSOR, processor_class=None)
    change(folder / file, processor_class=stated)
    assert load(folder, skeleton=True).layers == 4


def test_a_processor_that_the_library_has_not_is_told(copy: Callable[[str], Path]) -> None:
    folder = copy("llava")
    change(folder / PROCESSOR, processor_class="HomemadeProcessor")
    assert "asks for a HomemadeProcessor, which transformers" in told(folder, skeleton=True)


def test_a_part_that_reads_more_than_a_picture_is_told(copy: Callable[[str], Path]) -> None:
    folder = copy("llava")
    change(folder / PROCESSOR, processor_class="InstructBlipProcessor")
    assert "has a part that mmke does not know (qformer_tokenizer)" in told(folder, skeleton=True)


def test_a_processor_that_wants_a_picture_with_every_text_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import LlavaProcessor

    whole = LlavaProcessor.__call__

    def called(self: Any, images: Any = None, **options: Any) -> Any:
        if images is None:
            raise ValueError("`images` are expected as arguments")
        return whole(self, images=images, **options)

    monkeypatch.setattr(LlavaProcessor, "__call__", called)
    message = told(hub.folder("llava"), skeleton=True)
    assert "mmke asks some questions without a picture" in message
    assert message.endswith("(`images` are expected as arguments); take another model")


@pytest.mark.parametrize("asked", ["flash_attention_2", "kernels-community/flash-attn"])
def test_attention_of_another_package_is_computed_by_torch(copy: Callable[[str], Path], asked: str) -> None:
    folder = copy("llava")
    text = json.loads((folder / "config.json").read_text())["text_config"]
    for changes in ({"attn_implementation": asked}, {"text_config": {**text, "attn_implementation": asked}}):
        change(folder / "config.json", **changes)
        assert load(folder, skeleton=True).layers == 4


def test_a_model_that_reads_pictures_in_another_way_is_told(copy: Callable[[str], Path]) -> None:
    folder = copy("llava")
    (folder / "config.json").write_text(json.dumps({"model_type": "git"}))
    assert "'git' model names no token that stands at a picture's positions" in told(folder, skeleton=True)
