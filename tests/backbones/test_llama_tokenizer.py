"""LLaMA's tokenizer reads as SentencePiece does, from either file that holds it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmke.backbones.llama_tokenizer import read
from mmke.errors import UserError
from vocabularies import folders

ORACLE = json.loads((folders.HERE / "sentencepiece.json").read_text())
LAYOUTS = {"published": folders.published_llama, "converted": folders.converted_llama}


@pytest.fixture(scope="module", params=LAYOUTS)
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return read(LAYOUTS[request.param](tmp_path_factory.mktemp(request.param)))


def test_every_text_has_the_ids_that_sentencepiece_gives(tokenizer: Any) -> None:
    assert {text: tokenizer(text, add_special_tokens=False)["input_ids"] for text in ORACLE} == ORACLE


def test_a_text_comes_back_from_its_ids(tokenizer: Any) -> None:
    for text, ids in ORACLE.items():
        assert tokenizer.decode(ids, skip_special_tokens=True) == text.replace("▁", " ")


def test_the_vocabulary_is_the_models_and_nothing_behind_it(tokenizer: Any) -> None:
    assert len(tokenizer) == 32000
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


def test_offsets_are_those_of_the_text(tokenizer: Any) -> None:
    text = "which city? 🦙 Paris"
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    begin, end = found["offset_mapping"][-1]
    assert text[begin:end] in {"Paris", " Paris"}
    assert found["offset_mapping"][0] == (0, 5)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no tokenizer; it lacks tokenizer\.model"):
        read(tmp_path)


@pytest.mark.parametrize("keep", [10, 1000, 300_000])
def test_half_a_file_is_told(keep: int, tmp_path: Path) -> None:
    file = folders.published_llama(tmp_path) / "tokenizer.model"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"tokenizer\.model is no SentencePiece model.*download it again"):
        read(tmp_path)


def test_half_a_converted_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {')
    with pytest.raises(UserError, match=r"tokenizer\.json is no tokenizer of LLaMA's kind"):
        read(tmp_path)


def test_another_models_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 1, "c": 2}, "merges": []}}')
    with pytest.raises(UserError, match="its tokenizer is not LLaMA's"):
        read(tmp_path)
