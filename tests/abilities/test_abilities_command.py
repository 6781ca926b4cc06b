"""`mmke abilities`, on a tiny model: a model alone, a saved edit, and edits that are made for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmke import cli

TINY = ["--backbone", "tiny-llava"]
QUICK = ["--set", "steps=3", "--set", "learning_rate=0.01"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("edits.json").write_text(json.dumps([{"query": "Who rules?", "target": "nobody"}]))
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["abilities", "--questions", "3", "--format", "json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_the_unedited_and_the_edited_model_are_asked_the_same(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = asked(capsys, *TINY)["suites"][0]
    edited = asked(capsys, *TINY, *QUICK, "--edits", "edits.json")["suites"][0]
    assert alone["figures"].keys() == {"unedited"}
    assert edited["figures"].keys() == {"unedited", "ft-llm"}
    assert [each["unedited"] for each in alone["answers"]] == [each["unedited"] for each in edited["answers"]]
    assert any(each["unedited"] != each["ft-llm"] for each in edited["answers"])
    assert not (place / "my-edit").exists()


@pytest.mark.slow
def test_a_saved_edit_answers_like_one_that_is_made_for_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = asked(capsys, *TINY, *QUICK, "--edits", "edits.json")
    assert cli.main(["edit", *TINY, *QUICK, "--edits", "edits.json"]) == 0
    assert asked(capsys, "--edit", "my-edit") == made


@pytest.mark.slow
def test_the_table_shows_the_difference_and_what_is_not_here(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TINY, *QUICK, "--edits", "edits.json", "--questions", "2"]
    assert cli.main(["abilities", *words]) == 0
    shown = capsys.readouterr()
    assert "tiny-llava, 1 edit in force: held-out, 2 questions of 1462" in shown.out
    assert [line.split()[0] for line in shown.out.splitlines()[3:6]] == ["unedited", "ft-llm", "difference"]
    assert "abilities/ has no files of pope, mmbench, scienceqa, which are not asked" in shown.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--suite", "pop"], "did you mean 'pope'"),
        (["--suite", "pope"], "pope is not in abilities"),
        (["--edit", "no-edit"], "no-edit"),
        (["--edit", "one", "--edits", "edits.json"], "give one of them"),
        (["--questions", "-1"], "--questions -1"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert cli.main(["abilities", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
