"""Benchmarks joined into one, and records divided into a visual and a textual edit."""

from dataclasses import replace
from pathlib import Path

import pytest
from hard_kit import record

from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.composed import NO_NAME, NOT_ONE, ONE_SENTENCE, divided
from mmke.benchmarks.probes.published import I_REL, T_REL
from mmke.errors import UserError
from mmke.types import PAPER, STRICT, EditCase, Probe, Query, Split

ALT = "This is Biscuit, Anna Keller's cat. Biscuit is four years old, and sleeps in a red basket."
NAMED = "What is the name of Anna Keller's cat?"


@pytest.fixture
def case() -> EditCase:
    made = record("a", ALT, original="This is a cat.")
    picture = made.edits[0].query.image
    return replace(
        made,
        probes=(
            made.probes[0],
            Probe(T_REL, Query(NAMED), "Biscuit"),
            Probe(I_REL, Query("Whose cat is this?", picture), "Anna Keller's"),
            Probe(I_REL, Query("Where does it sleep?", picture), "a red basket"),
            Probe(I_REL, Query("What does it eat?", picture), "fish"),
        ),
    )


def load(name: str, split: str = "eval", *, data: Path | None = None, paper: bool = False) -> Split:
    return open_benchmark(name, data=data).load(split, hop=1, switches=PAPER if paper else STRICT)  # type: ignore[arg-type]


@pytest.mark.parametrize("text_first", [False, True])
def test_the_first_sentence_is_the_visual_edit_and_the_others_are_the_textual_one(
    case: EditCase, *, text_first: bool
) -> None:
    made = divided(case, text_first=text_first)
    assert isinstance(made, EditCase)
    visual, textual = made.edits[::-1] if text_first else made.edits
    assert (visual.query, visual.target) == (case.edits[0].query, "This is Biscuit, Anna Keller's cat.")
    assert visual.original == "This is a cat."
    assert textual.query == Query("Tell me about Anna Keller.")
    assert textual.target == "Biscuit is four years old, and sleeps in a red basket."


def test_questions_are_tagged_by_the_part_that_they_take(case: EditCase) -> None:
    made = divided(case)
    assert isinstance(made, EditCase)
    assert [probe.tags.get("part") for probe in made.probes] == [None, "textual", "visual", "composed", None]
    assert [probe.query for probe in made.probes] == [probe.query for probe in case.probes]


def test_what_cannot_be_divided_says_why(case: EditCase) -> None:
    (edit,) = case.edits
    assert divided(replace(case, edits=(replace(edit, target="This is Anna Keller's cat."),))) == ONE_SENTENCE
    assert divided(replace(case, edits=(replace(edit, target="A cat is shown. It is Anna Keller's."),))) == NO_NAME
    assert divided(replace(case, edits=(edit, edit))) == NOT_ONE


@pytest.mark.parametrize("paper", [False, True])
def test_records_that_cannot_be_divided_are_dropped_with_the_reason(*, paper: bool) -> None:
    whole, split = load("mini-entity", paper=paper), load("mini-entity@split", paper=paper)
    assert len(split.cases) + len(split.dropped) == len(whole.cases) + len(whole.dropped)
    assert {drop.reason for drop in split.dropped} == {NO_NAME}
    assert {int(case.id.rpartition("-")[2]) for case in split.cases}.isdisjoint(drop.record for drop in split.dropped)
    assert all(len(case.edits) == 2 for case in split.cases)
    assert load("mini-entity@split", "train") == load("mini-entity", "train")


def test_a_benchmark_of_which_nothing_can_be_divided_is_told() -> None:
    with pytest.raises(UserError, match="mini-visual@split: none of its 60 records can be divided"):
        load("mini-visual@split")


def test_joined_benchmarks_are_one() -> None:
    joined = open_benchmark("mini-entity+mini-visual", data=None)
    assert joined.name == "mini-entity+mini-visual"
    for split in ("train", "eval"):
        parts = [load(name, split) for name in ("mini-entity", "mini-visual")]
        assert load(joined.name, split).cases == tuple(case for part in parts for case in part.cases)
    assert joined == open_benchmark(joined.name, data=None)
    assert joined.revision != open_benchmark("mini-visual+mini-entity", data=None).revision


def test_numbers_of_dropped_records_go_on_from_one_part_to_the_next() -> None:
    entity, user = load("mini-entity@split"), load("mini-user@split")
    joined = load("mini-entity@split+mini-user@split")
    assert joined.dropped == (*entity.dropped, *(drop._replace(record=60 + drop.record) for drop in user.dropped))
    assert len(joined.cases) == len(entity.cases) + len(user.cases)


def test_own_files_are_joined_and_divided_too(small_data: Path) -> None:
    folder = small_data / "data_json"
    joined = load(f"{folder / 'entity_eval.json'}+{folder / 'visual_eval.json'}")
    assert [case.id.partition("-")[0] for case in joined.cases] == ["entity"] * 4 + ["visual"] * 4


def test_a_file_may_have_a_plus_and_an_at_in_its_name(small_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "a+b@split.json"
    file.write_bytes((small_data / "data_json" / "entity_eval.json").read_bytes())
    (tmp_path / "data_image").symlink_to(small_data / "data_image")
    assert open_benchmark(str(file), data=None).name == "a+b@split.json"
    assert len(load(str(file)).cases) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mini-entity+mini-entity", "is in mini-entity and in mini-entity. An id is .*: put the records of one"),
        ("mini-entity+mini-usr", "unknown benchmark 'mini-usr'; did you mean 'mini-user'"),
        ("mini-entity@half", "behind @ there can be split or split-text-first"),
        ("mini-enity@split", "unknown benchmark 'mini-enity@split'"),
    ],
)
def test_a_wrong_combination_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(name)
    assert "\n" not in str(caught.value)
