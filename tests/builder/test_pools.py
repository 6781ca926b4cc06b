"""Unrelated facts and pictures, and things that stand beside: those of the benchmark, or of a project's own file."""

import io
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.build.new import new
from mmke.build.pools import UnrelatedFact, companions, unrelated_facts, unrelated_pictures
from mmke.build.project import open_project
from mmke.build.sources.mini.source import Mini
from mmke.build.wording import says, with_article
from mmke.errors import UserError

KINDS = ("entity", "semantic", "user")


def facts_of(folder: Path, *, facts: str = "mini") -> list[UnrelatedFact]:
    if not folder.exists():
        file = new(folder, kind="entity")
        text = file.read_text(encoding="utf-8").replace('facts = "mini"', f'facts = "{facts}"')
        file.write_text(text, encoding="utf-8")
    with open_project(folder, write=False) as project:
        return list(unrelated_facts(project))


def own(tmp_path: Path, content: bytes) -> list[UnrelatedFact]:
    folder = tmp_path / "own"
    file = new(folder, kind="entity")
    file.write_text(file.read_text(encoding="utf-8").replace('facts = "mini"', 'facts = "facts.csv"'), encoding="utf-8")
    (folder / "facts.csv").write_bytes(content)
    return facts_of(folder)


def benchmark() -> Iterator[dict[str, Any]]:
    folder = files("mmke.benchmarks.mini") / "data_json"
    for file in folder.iterdir():
        yield from json.loads(file.read_text(encoding="utf-8"))


def test_the_facts_are_the_benchmarks_and_none_says_its_answer(tmp_path: Path) -> None:
    found = facts_of(tmp_path / "project")
    known = {(record["loc"], record["loc_ans"]) for record in benchmark()}
    assert len(found) >= 200
    assert len({fact.question for fact in found}) == len(found)
    assert {(fact.question, fact.answer) for fact in found} <= known
    assert not [fact for fact in found if says(fact.question, fact.answer)]


def test_the_pictures_are_the_benchmarks_each_of_another_thing() -> None:
    found = unrelated_pictures()
    known = {(record["m_loc_q"], record["m_loc_a"]) for record in benchmark()}
    assert len(found) >= 120
    assert len({each.name for each in found}) == len(found)
    assert {(each.question, each.answer) for each in found} <= known
    assert all(each.picture.licence and each.picture.author and each.picture.origin for each in found)


def test_companions_have_names_that_answer_and_pictures_that_can_be_read() -> None:
    found = companions()
    assert len(found) >= 66
    assert len({each.answer for each in found}) == len({each.name for each in found}) == len(found)
    for each in found:
        assert each.answer == with_article(each.name)
        assert len(each.answer.split()) <= 5
        with Image.open(io.BytesIO(each.picture.read())) as image:
            assert image.size == (224, 224)


def test_nothing_in_the_pools_is_edited_and_no_companion_is_asked_about_as_unrelated() -> None:
    edited = {
        name.casefold()
        for kind in KINDS
        for source in [Mini(kind, ())]
        for id_ in source.list()
        for name in (source.find(id_).thing.name, *source.find(id_).thing.aliases)
    }
    beside = {each.name.casefold() for each in companions()}
    elsewhere = {each.name.casefold() for each in unrelated_pictures()}
    assert beside & edited == set()
    assert elsewhere & edited == set()
    assert beside & elsewhere == set()


def test_a_file_of_ones_own_is_read_with_each_question_once(tmp_path: Path) -> None:
    text = '\ufeffanswer,question,note\nParis,"The capital of France, in one word, is",x\nbees,Who makes honey?,\n'
    text += "wasps,Who makes honey?,\n"
    found = own(tmp_path, text.encode())
    assert [(fact.question, fact.answer) for fact in found] == [
        ("The capital of France, in one word, is", "Paris"),
        ("Who makes honey?", "bees"),
    ]
    assert {fact.source for fact in found} == {"facts.csv of the project"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"question;answer\na;b\n", "no column 'question'"),
        (b"question,reply\na,b\n", "no column 'answer'"),
        (b"", "no column 'question'"),
        (b"question,answer\n", "has no facts"),
        (b"question,answer\nWho?,\n", "line 2: the answer is empty"),
        (b"question,answer\nWho?\n", "line 2: the answer is empty"),
        (b"question,answer\nWho?,me\n ,you\n", "line 3: the question is empty"),
        (b"question,answer\nWho?,caf\xe9\n", "is not UTF-8"),
    ],
)
def test_a_broken_file_of_ones_own_is_told_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        own(tmp_path, content)


def test_a_file_that_is_not_there_and_one_of_another_kind_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"facts\.csv cannot be read \(No such file"):
        facts_of(tmp_path / "missing", facts="facts.csv")
    with pytest.raises(UserError, match=r'give "mini", or a \.csv file'):
        facts_of(tmp_path / "other", facts="facts.xlsx")
