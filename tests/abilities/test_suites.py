"""The suites: which questions there are and are drawn, and what is said of files that are missing or broken."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from published_suites import write_mmbench, write_pope, write_scienceqa

from mmke.abilities import held_out
from mmke.abilities.suites import Wanted, draw, parse_names
from mmke.benchmarks.open import open_benchmark
from mmke.errors import UserError
from mmke.types import STRICT


def test_the_held_out_questions_are_about_drawings_that_the_small_models_never_saw() -> None:
    plain = held_out.plain_questions()
    manifest = json.loads((held_out.PICTURES / "manifest.json").read_text())["pictures"]
    assert len({each["id"] for each in plain}) == len(plain) == 1462
    assert {manifest[each["picture"]][0]["seen"] for each in plain} == {"held-out"}
    assert all(each["question"].strip() and each["answer"].strip() for each in plain)


def test_questions_about_what_an_edit_shows_are_left_out() -> None:
    case = open_benchmark("mini-entity", data=None).load("eval", hop=0, switches=STRICT).cases[0]  # the flag of Kenya
    whole = draw(Wanted(("held-out",), limit=0)).suites[0]
    suite = draw(Wanted(("held-out",), limit=0), case.edits).suites[0]
    gone = {each.id for each in whole.questions} - {each.id for each in suite.questions}
    assert gone
    assert all(id_.startswith("flag-ke-") for id_ in gone)
    assert suite.left_out == len(gone)
    assert suite.available == 1462


def test_a_larger_sample_holds_the_smaller_one() -> None:
    few, more, other = (
        {each.id for each in draw(Wanted(("held-out",), limit=limit, seed=seed)).suites[0].questions}
        for limit, seed in ((20, 0), (50, 0), (20, 1))
    )
    assert len(few) == 20
    assert few < more
    assert few != other


def test_published_files_are_read_as_their_authors_publish_them(tmp_path: Path) -> None:
    for write in (write_pope, write_mmbench, write_scienceqa):
        write(tmp_path)
    drawn = draw(Wanted(data=tmp_path, limit=0))
    assert drawn.missing is None
    _, pope, mmbench, scienceqa = drawn.suites
    assert [each.id for each in pope.questions] == [f"{k}-{n}" for k in ("popular", "random") for n in (1, 2, 3)]
    assert pope.questions[0].query.text == "Is there a dog? Please answer this question with one word."
    assert [(each.id, each.answer) for each in mmbench.questions] == [("1", "B"), ("2", "A")]
    assert mmbench.questions[0].query.text.splitlines()[:4] == ["Look.", "Which colour?", "A. blue", "B. red"]
    one, two = (each.query.image for each in mmbench.questions)
    assert one is not None
    assert one == two
    assert one.path.read_bytes() == (tmp_path / "mmbench" / "red.png").read_bytes()
    assert [(each.id, each.kind, each.answer) for each in scienceqa.questions] == [("7", "natural", "B")]


def test_a_suite_that_is_not_here_is_one_line_unless_it_was_named(tmp_path: Path) -> None:
    write_pope(tmp_path)
    drawn = draw(Wanted(data=tmp_path, limit=2))
    assert [suite.name for suite in drawn.suites] == ["held-out", "pope"]
    assert drawn.missing == f"{tmp_path}/ has no files of mmbench, scienceqa, which are not asked"
    with pytest.raises(UserError, match=r"mmbench is not in .*mmbench/MMBench_DEV_EN\.tsv"):
        draw(Wanted(("mmbench",), data=tmp_path))


def test_equal_questions_have_one_revision_and_others_another(tmp_path: Path) -> None:
    write_pope(tmp_path)
    suite = draw(Wanted(("pope",), data=tmp_path)).suites[0]
    assert draw(Wanted(("pope",), data=tmp_path)).suites[0].revision == suite.revision
    changed = replace(suite.questions[0], answer="no")
    assert replace(suite, questions=(changed, *suite.questions[1:])).revision != suite.revision


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("pope/coco_pope_random.json", "{}\n", "line 1 is no question of POPE"),
        (
            "pope/coco_pope_random.json",
            '{"question_id":1,"image":"../x","text":"?","label":"no"}\n',
            "no name of a file",
        ),
        (
            "pope/coco_pope_random.json",
            '{"question_id":1,"image":"x.jpg","text":"?","label":"no"}\n',
            "x.jpg is in none",
        ),
        ("mmbench/MMBench_DEV_EN.tsv", "index\tquestion\n", "lacks the columns A, B, answer, image"),
        ("mmbench/MMBench_DEV_EN.tsv", "index\tquestion\tA\tB\tanswer\timage\n1\t?\tx\ty\tC\tz\n", "the answer 'C'"),
        ("mmbench/MMBench_DEV_EN.tsv", "index\tquestion\tA\tB\tanswer\timage\n1\t?\tx\ty\tA\tAAAA\n", "cannot be read"),
        ("scienceqa/problems.json", '{"1": {}}', "not the file of ScienceQA"),
    ],
)
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, file: str, content: str, told: str) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(UserError, match=told):
        draw(Wanted((path.parent.name,), data=tmp_path))


def test_an_unknown_suite_is_told_with_the_nearest() -> None:
    assert parse_names("pope, held-out") == ("pope", "held-out")
    assert parse_names("all") == ()
    with pytest.raises(UserError, match="did you mean 'pope'"):
        parse_names("popes")
