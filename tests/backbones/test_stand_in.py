"""The tokenizer of random weights: as many pieces as a real one cuts, so that time and memory are real."""

from typing import Any

import pytest

from mmke.backbones import llama_tokenizer
from mmke.backbones.llava import prompt
from mmke.backbones.weights.stand_in import SPECIAL, StandInTokenizer
from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, Ask
from vocabularies import folders

TEXTS = ("a tin lid", " It is 3 o'clock, isn't it?", "Ærøskøbing_1 — naïve\n\n  two", "", "   ")


@pytest.fixture(scope="module")
def tokenizer() -> StandInTokenizer:
    return StandInTokenizer(32000)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return llama_tokenizer.read(folders.published_llama(tmp_path_factory.mktemp("llama")))


@pytest.mark.parametrize("benchmark", ["mini-entity", "mini-visual", "mini-user"])
def test_descriptions_have_about_as_many_pieces_as_in_llamas_vocabulary(
    benchmark: str, tokenizer: StandInTokenizer, llama: Any
) -> None:
    cases = open_benchmark(benchmark, data=None).load("eval", hop=1, switches=STRICT).cases
    texts = [edit.target for case in cases for edit in case.edits]
    assert len(texts) == 60
    ours, real = (
        sum(len(reader(text, add_special_tokens=False)["input_ids"]) for text in texts) for reader in (tokenizer, llama)
    )
    assert ours == pytest.approx(real, rel=0.15)


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_lie_end_to_end_where_their_offsets_say(text: str, tokenizer: StandInTokenizer) -> None:
    read = tokenizer(text, return_offsets_mapping=True)
    pieces = [text[begin:end] for begin, end in read["offset_mapping"]]
    assert "".join(pieces) == text
    assert all(pieces)
    assert len(pieces) == len(read["input_ids"])


@pytest.mark.parametrize("vocabulary", [10, 32000])
def test_ids_lie_within_the_vocabulary_and_leave_the_special_ones(vocabulary: int) -> None:
    ids = [number for text in TEXTS for number in StandInTokenizer(vocabulary)(text)["input_ids"]]
    assert min(ids) >= SPECIAL
    assert max(ids) < vocabulary


def test_equal_pieces_have_equal_ids_and_others_do_not(tokenizer: StandInTokenizer) -> None:
    one, other = (tokenizer(text)["input_ids"] for text in ("a tin lid", "a tin cup"))
    assert one[:2] == other[:2]
    assert one[2] != other[2]


def test_an_answer_begins_where_its_space_does(tokenizer: StandInTokenizer) -> None:
    encoded = prompt(tokenizer, image_tokens=0).encode("What is shown?", "a tin lid", image=None, ask=Ask())
    assert encoded.target_ids == tuple(tokenizer(" a tin lid")["input_ids"])
    assert encoded.input_ids[-3:] == encoded.target_ids
    assert encoded.input_ids[0] == tokenizer.bos_token_id
