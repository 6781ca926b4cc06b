"""The prompts of the full-size models, id by id, on their real vocabularies.

LLaMA's ids are checked against SentencePiece (`test_llama_tokenizer.py`), OPT's are those of published examples
(recipes/vocabularies). Source of the prompts: MMKE-Bench, arXiv:2502.19870, as its published code makes them.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mmke.backbones import blip2, llama_tokenizer, llava, minigpt4
from mmke.backbones.prompt import Prompt
from mmke.backbones.weights.loading import read_tokenizer
from mmke.types import Ask, ImageRef
from vocabularies import folders

QUESTION, ANSWER = "Question: which city is this?", "a beach"
PICTURE = ImageRef(Path("never-opened.png"), "0")
JOINT, ALONE = Ask(labels="joint"), Ask(labels="alone")

LLAMA_QUESTION = (894, 29901, 607, 4272, 338, 445, 29973)
LLAMA_ANSWER = (263, 25695)
OPT_QUESTION = (45641, 35, 61, 343, 16, 42, 116)
OPT_ANSWER, OPT_ANSWER_ALONE = (10, 4105), (102, 4105)
BOS, OPT_BEGIN = 1, 2
HUMAN_IMG, IMG_END = (835, 29950, 7889, 29901, 529, 25518, 29958), (1533, 25518, 29958, 29871)

LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "published": folders.published_llama,
    "converted": folders.converted_llama,
}
OPT_LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "published": folders.published_opt,
    "converted": folders.converted_opt,
}


def slots(count: int, *, first: int = 0) -> tuple[int, ...]:
    return tuple(-(1 + first + slot) for slot in range(count))


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """Write and read a vocabulary in a layout, each once."""

    @cache
    def read_once(vocabulary: str, layout: str) -> Any:
        folder = tmp_path_factory.mktemp(vocabulary)
        if vocabulary == "llama":
            return llama_tokenizer.read(LAYOUTS[layout](folder))
        return read_tokenizer(OPT_LAYOUTS[layout](folder))

    return read_once


@pytest.fixture(params=LAYOUTS)
def llama(request: pytest.FixtureRequest, read: Callable[[str, str], Any]) -> Any:
    return read("llama", request.param)


@pytest.fixture(params=OPT_LAYOUTS)
def opt(request: pytest.FixtureRequest, read: Callable[[str, str], Any]) -> Any:
    return read("opt", request.param)


def check(
    prompt: Prompt, image: ImageRef | None, input_ids: tuple[int, ...], joint: tuple[int, ...], alone: Any
) -> None:
    """Compare a query's input_ids, and its labels and rows taken either way."""
    for ask, target in ((JOINT, joint), (ALONE, alone)):
        encoded = prompt.encode(QUESTION, ANSWER, image=image, ask=ask)
        assert encoded.input_ids == input_ids
        assert encoded.target_ids == target
        assert encoded.rows == tuple(range(len(input_ids) - len(target) - 1, len(input_ids) - 1))
        assert encoded.answer_rows == tuple(range(len(target)))
        assert encoded.position_ids is None
        assert encoded.input_ids[slice(*encoded.question)] in (LLAMA_QUESTION, OPT_QUESTION)


def test_llava_puts_the_picture_between_the_beginning_and_the_bare_text(llama: Any) -> None:
    input_ids = (BOS, *slots(576), *LLAMA_QUESTION, *LLAMA_ANSWER)
    assert len(input_ids) == 1 + 576 + 9
    check(llava.prompt(llama), PICTURE, input_ids, LLAMA_ANSWER, LLAMA_ANSWER)


def test_llava_begins_a_text_with_the_beginning_alone(llama: Any) -> None:
    check(llava.prompt(llama), None, (BOS, *LLAMA_QUESTION, *LLAMA_ANSWER), LLAMA_ANSWER, LLAMA_ANSWER)


def test_minigpt4_wraps_the_picture_and_has_no_beginning(llama: Any) -> None:
    input_ids = (*HUMAN_IMG, *slots(32), *IMG_END, *LLAMA_QUESTION, *LLAMA_ANSWER)
    check(minigpt4.prompt(llama), PICTURE, input_ids, LLAMA_ANSWER, LLAMA_ANSWER)


def test_minigpt4_begins_with_a_picture_when_asked_to_and_never_with_a_text(llama: Any) -> None:
    prompt, began = minigpt4.prompt(llama), Ask(begin=True)
    for ask in (began, Ask(begin=True, decode="generate")):
        plain = prompt.encode(QUESTION, ANSWER, image=PICTURE, ask=Ask(decode=ask.decode))
        assert prompt.encode(QUESTION, ANSWER, image=PICTURE, ask=ask).input_ids == (BOS, *plain.input_ids)
    assert prompt.encode(QUESTION, ANSWER, image=None, ask=began).input_ids[0] != BOS


def test_a_prompt_that_has_its_beginning_gets_no_second(llama: Any, opt: Any) -> None:
    for prompt in (llava.prompt(llama), blip2.prompt(opt)):
        asked = [prompt.encode(QUESTION, ANSWER, image=PICTURE, ask=Ask(begin=begin)) for begin in (False, True)]
        assert asked[0] == asked[1]


def test_a_text_by_itself_stands_behind_the_beginning(llama: Any, opt: Any) -> None:
    assert minigpt4.prompt(llama).tokens(QUESTION) == (BOS, *LLAMA_QUESTION)
    assert blip2.prompt(opt).tokens(QUESTION) == (OPT_BEGIN, *OPT_QUESTION)


def test_minigpt4_reads_a_text_bare(llama: Any) -> None:
    check(minigpt4.prompt(llama), None, (*LLAMA_QUESTION, *LLAMA_ANSWER), LLAMA_ANSWER, LLAMA_ANSWER)


def test_blip2_begins_the_text_behind_the_picture_and_its_answer_alone_has_no_space(opt: Any) -> None:
    input_ids = (*slots(32), OPT_BEGIN, *OPT_QUESTION, *OPT_ANSWER)
    check(blip2.prompt(opt), PICTURE, input_ids, OPT_ANSWER, OPT_ANSWER_ALONE)


def test_blip2_begins_a_text(opt: Any) -> None:
    check(blip2.prompt(opt), None, (OPT_BEGIN, *OPT_QUESTION, *OPT_ANSWER), OPT_ANSWER, OPT_ANSWER_ALONE)


def test_an_answer_alone_of_more_pieces_moves_opts_window_to_the_left(opt: Any) -> None:
    prompt = blip2.prompt(opt)
    joint = prompt.encode(QUESTION, "says", image=None, ask=JOINT)
    alone = prompt.encode(QUESTION, "says", image=None, ask=ALONE)
    assert opt.convert_ids_to_tokens(list(joint.target_ids)) == ["Ġsays"]
    assert opt.convert_ids_to_tokens(list(alone.target_ids)) == ["s", "ays"]
    assert joint.input_ids == alone.input_ids
    assert (joint.rows, alone.rows) == ((7,), (6, 7))


def test_opt_keeps_apart_a_word_with_and_without_its_space(opt: Any) -> None:
    assert opt("a woman", add_special_tokens=False)["input_ids"] == [102, 693]
    assert opt(" a\n", add_special_tokens=False)["input_ids"] == [10, 50118]


def test_all_rows_are_those_of_the_picture_the_question_and_the_last(llama: Any) -> None:
    encoded = llava.prompt(llama).encode(QUESTION, ANSWER, image=PICTURE, ask=Ask(positions="all"))
    assert encoded.rows == tuple(range(586))
    assert encoded.answer_rows == (583, 584)


def test_a_second_picture_has_slots_behind_the_first(llama: Any) -> None:
    prompt = minigpt4.prompt(llama)
    assert prompt.slots(PICTURE) == 32
    assert prompt.encode(QUESTION, ANSWER, image=PICTURE, first=32, ask=JOINT).input_ids[7:39] == slots(32, first=32)


def test_llava_continues_the_question_when_it_decodes_and_stops_at_the_end(llama: Any) -> None:
    prompt = llava.prompt(llama)
    assert prompt.encode(QUESTION, "", image=None, ask=Ask(decode="generate")).input_ids == (BOS, *LLAMA_QUESTION)
    assert prompt.stop_ids == {2}


def test_blip2_continues_the_question_when_it_decodes_and_stops_at_the_end(opt: Any) -> None:
    prompt = blip2.prompt(opt)
    assert prompt.encode(QUESTION, "", image=None, ask=Ask(decode="generate")).input_ids == (OPT_BEGIN, *OPT_QUESTION)
    assert prompt.stop_ids == {2}


@pytest.mark.parametrize(("question", "first"), [(" who ? me", 29871), ("who ? me", 1058)])
def test_a_space_before_a_question_is_read(question: str, first: int, llama: Any) -> None:
    assert llava.prompt(llama).encode(question, ANSWER, image=None, ask=JOINT).input_ids[1] == first
