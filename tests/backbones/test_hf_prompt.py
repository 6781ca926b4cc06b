"""A model's own prompt: token for token what its processor makes of the whole."""

import warnings

import pytest
from hf_hub import Hub
from PIL import Image

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.prompt import SLOT
from mmke.types import Ask, ImageRef

TEMPLATES = ["llava-onevision", "qwen2.5-vl", "internvl", "idefics3", "llava", "glm4v"]
QUESTION, ANSWER = "Which flag is it?", "the flag of Peru"
RENDERED = {
    "llava-onevision": "<|im_start|>user\nWhich flag is it?<|im_end|>\n<|im_start|>assistant\nthe flag of Peru",
    "qwen2.5-vl": "<|im_start|>user\nWhich flag is it?<|im_end|>\n<|im_start|>assistant\nthe flag of Peru",
    "internvl": "<|im_start|>user\nWhich flag is it?<|im_end|>\n<|im_start|>assistant\nthe flag of Peru",
    "idefics3": "<|im_start|>User: Which flag is it?<end_of_utterance>\nAssistant: the flag of Peru",
    "llava": "<s>USER: Which flag is it? ASSISTANT: the flag of Peru",
    "glm4v": "<|im_start|>user\nWhich flag is it?<|im_end|>\n<|im_start|>assistant\nthe flag of Peru",
    "bare-llava": "<s>Which flag is it? the flag of Peru",
}


def whole(backbone: ComposedBackbone, hub: Hub, name: str, picture: ImageRef | None) -> list[int]:
    """Return the ids that the library's own call makes of an opened conversation."""
    from mmke.backbones.hf.processor import load_processor

    processor = load_processor(hub.folder(name), backbone.module.config)
    said = [{"type": "text", "text": QUESTION}]
    if picture is not None:
        said.insert(0, {"type": "image", "image": Image.open(picture.path)})
    turns = [{"role": "user", "content": said}]
    with warnings.catch_warnings():  # that GLM-4V's processor gives about its own code
        warnings.simplefilter("ignore", DeprecationWarning)
        made = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(made["input_ids"][0])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("pictured", [True, False], ids=["picture", "text"])
def test_the_opening_is_what_the_processor_makes_of_it(
    hub: Hub, picture: ImageRef, name: str, *, pictured: bool
) -> None:
    backbone = hub.load(name)
    image = picture if pictured else None
    encoded = backbone.prompt.encode(QUESTION, "", image=image, ask=Ask(decode="generate"))
    token = getattr(backbone.module.config, "image_token_id", None) or backbone.module.config.image_token_index
    ours = [token if key < 0 else key for key in encoded.input_ids]
    assert ours == whole(backbone, hub, name, image)
    assert pictured == any(key < 0 for key in encoded.input_ids)


@pytest.mark.parametrize("name", RENDERED)
def test_the_prompt_with_its_answer_reads(hub: Hub, name: str) -> None:
    prompt = hub.load(name, skeleton=True).prompt
    encoded = prompt.encode(QUESTION, ANSWER, image=None, ask=Ask())
    assert prompt.tokenizer.decode(encoded.input_ids) == RENDERED[name]
    assert prompt.tokenizer.decode(encoded.target_ids).strip() == ANSWER


@pytest.mark.parametrize("name", RENDERED)
def test_a_pictures_positions_are_those_that_the_model_fills(hub: Hub, picture: ImageRef, name: str) -> None:
    backbone = hub.load(name)
    features = backbone.vision.encode(backbone.pixels(picture))
    assert backbone.prompt.frame(picture).count(SLOT) == len(backbone.vision.align([features]))


def test_a_bare_prompt_begins_and_holds_the_picture(hub: Hub, picture: ImageRef) -> None:
    prompt = hub.load("bare-llava", skeleton=True).prompt
    input_ids = prompt.input_ids("What?", image=picture)
    assert input_ids[:5] == (prompt.tokenizer.bos_token_id, *[SLOT] * 4)
    assert prompt.tokenizer.decode(input_ids[5:]) == "What?"


def test_positions_on_three_axes_go_around_the_picture(hub: Hub, picture: ImageRef) -> None:
    prompt = hub.load("qwen2.5-vl", skeleton=True).prompt
    encoded = prompt.encode("What?", "That.", image=picture, ask=Ask())
    slots = [place for place, key in zip(encoded.position_ids, encoded.input_ids, strict=True) if key < 0]
    begin = encoded.input_ids.index(-1)
    assert slots[0] == (begin, begin, begin)
    assert {time for time, _, _ in slots} == {begin}
    rows, columns = (len({place[axis] for place in slots}) for axis in (1, 2))
    assert rows * columns == len(slots) > 1
    after = encoded.position_ids[begin + len(slots)]
    assert after == (begin + max(rows, columns),) * 3


def test_positions_without_a_picture_are_counted(hub: Hub) -> None:
    prompt = hub.load("qwen2.5-vl", skeleton=True).prompt
    encoded = prompt.encode("What?", "That.", image=None, ask=Ask())
    assert encoded.position_ids == tuple((place,) * 3 for place in range(len(encoded.input_ids)))


def test_a_picture_is_processed_once_for_its_frame(
    hub: Hub, picture: ImageRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmke.backbones.hf import prompt as hf_prompt

    prompt = hub.load("internvl", skeleton=True).prompt
    first = prompt.frame(picture)
    monkeypatch.setattr(hf_prompt, "process", lambda *_: pytest.fail("processed again"))
    assert prompt.frame(picture) == first
