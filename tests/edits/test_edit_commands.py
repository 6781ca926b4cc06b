"""`mmke edit`, `mmke ask` and `mmke edits`, on a tiny model: what they write and say, and how a mistake is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmke import cli
from mmke.edits.record import RECORD, TENSORS, read_record
from mmke.testing.records import draw_picture

EDITS = [
    {"query": "Which flag?", "target": "Peru", "image": "red.png"},
    {"query": "Who rules?", "target": "nobody"},
    {"query": "Which sign?", "target": "stop here", "image": "blue.png"},
]
TINY = ["--backbone", "tiny-llava"]
QUICK = [*TINY, "--set", "steps=3", "--set", "learning_rate=0.01"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for colour in ("red", "blue"):
        draw_picture(tmp_path / f"{colour}.png", colour)
    write(EDITS, "all.json")
    return tmp_path


def write(edits: object, name: str) -> None:
    Path(name).write_text(json.dumps(edits))


def tensors(folder: str) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / TENSORS)


def same(one: str, other: str) -> bool:
    left, right = tensors(one), tensors(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def make(edits: object, out: str, *more: str) -> None:
    write(edits, f"{out}.json")
    assert cli.main(["edit", *QUICK, "--edits", f"{out}.json", "--out", out, *more]) == 0


def test_edits_are_made_asked_shown_and_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(EDITS[:2], "mine")
    capsys.readouterr()
    assert cli.main(["ask", "--edit", "mine", "Which flag?", "--image", "red.png", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["before"] != said["after"]
    assert cli.main(["edits", "show", "mine"]) == 0
    assert "   2  Who rules? → nobody" in capsys.readouterr().out
    assert cli.main(["edits", "list"]) == 0
    assert "mine  2 edits by ft-llm on tiny-llava" in capsys.readouterr().out
    assert not (place / "mine" / "pictures").exists()
    assert str(place) not in (place / "mine" / RECORD).read_text()


@pytest.mark.slow
def test_a_stack_and_what_is_left_of_it_have_the_bits_of_one_session(place: Path) -> None:
    make(EDITS, "whole", "--embed")
    make(EDITS[:1], "first")
    make(EDITS[1:], "rest")
    assert cli.main(["edits", "stack", "first", "rest", "--out", "both", "--pictures", "."]) == 0
    assert same("whole", "both")
    make([EDITS[0], EDITS[2]], "two")
    assert cli.main(["edits", "drop", "whole", "2", "--out", "left"]) == 0
    assert same("two", "left")
    assert read_record(place / "left").edits == read_record(place / "two").edits
    assert not same("whole", "left")


def test_edits_that_cannot_be_stacked_are_told_by_what_they_differ_in(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(EDITS[1:2], "one")
    make(EDITS[1:2], "other", "--set", "learning_rate=0.02")
    capsys.readouterr()
    assert cli.main(["edits", "stack", "one", "other", "--out", "both"]) == 2
    told = capsys.readouterr().err
    assert (
        "other cannot stand on one: they differ in the setting learning_rate (0.02 and 0.01); a stack has one" in told
    )


@pytest.mark.slow
def test_what_two_edits_differ_in_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(EDITS[:2], "one")
    make(EDITS[1:], "other", "--set", "learning_rate=0.02")
    capsys.readouterr()
    assert cli.main(["edits", "diff", "one", "other"]) == 0
    told = capsys.readouterr().out
    assert "settings.learning_rate: 0.01 in one, 0.02 in other" in told
    assert "only in one, 1: Which flag?" in told
    assert "in both: 1 edit\n" in told
    assert "they differ by" in told


@pytest.mark.slow
def test_records_of_a_benchmark_are_edited_in_batches(place: Path, small_data: Path) -> None:
    words = [
        "--edits",
        "mmke-user",
        "--data",
        str(small_data),
        "--limit",
        "3",
        "--batch",
        "2",
        "--editor",
        "ike-random",
    ]
    assert cli.main(["edit", *TINY, *words, "--out", "records"]) == 0
    record = read_record(place / "records")
    assert [len(batch) for batch in record.batches] == [2, 1]
    assert record.pictures.keys() == record.pictured  # its session reads the pictures of its edits
    file = ["--edits", str(small_data / "data_json" / "user_eval.json"), "--limit", "3", "--batch", "2"]
    assert cli.main(["edit", *TINY, "--editor", "ike-random", *file, "--out", "by-file"]) == 0
    assert read_record(place / "by-file").batches == record.batches


@pytest.mark.slow
def test_a_text_of_somebody_else_cannot_steer_the_terminal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make([{"query": "\x1b[2J\nWho?", "target": "a\x07"}], "loud")
    capsys.readouterr()
    assert cli.main(["edits", "show", "loud"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[2J\\nWho? → a\\x07" in shown


MISTAKES: dict[str, tuple[Callable[[], object], list[str], str]] = {
    "no file": (lambda: None, ["edit", "--edits", "none.json"], "no benchmark file 'none.json'"),
    "no json": (lambda: Path("a.json").write_text("["), ["edit", "--edits", "a.json"], "a.json cannot be read as JSON"),
    "no target": (
        lambda: write([{"query": "a"}], "a.json"),
        ["edit", "--edits", "a.json"],
        "a.json: edit 1 has no target",
    ),
    "a key": (
        lambda: write([{"query": "a", "target": "b", "imag": "c"}], "a.json"),
        ["edit", "--edits", "a.json"],
        "unknown key 'imag'; did you mean 'image'?",
    ),
    "no picture": (
        lambda: write([{"query": "a", "target": "b", "image": "c.png"}], "a.json"),
        ["edit", "--edits", "a.json"],
        "edit 1: the picture c.png cannot be read",
    ),
    "none": (lambda: write([], "a.json"), ["edit", "--edits", "a.json", "--out", "x"], "a.json"),
    "a setting": (lambda: None, ["edit", "--edits", "all.json", "--set", "step=1"], "unknown key 'step'"),
    "the floor": (lambda: None, ["edit", "--edits", "all.json", "--editor", "none"], "--editor none edits nothing"),
    "a folder that is there": (
        lambda: Path("my-edit").mkdir(),
        ["edit", "--edits", "all.json"],
        "my-edit is there already",
    ),
    "no networks": (
        lambda: None,
        ["edit", "--edits", "all.json", "--editor", "mend"],
        "mend has to be trained for tiny-llava under strict first",
    ),
    "no edit": (lambda: None, ["ask", "Who?"], "name an edit with --edit FOLDER"),
    "nothing there": (lambda: None, ["ask", "--edit", "x", "Who?"], "x is no edit: there is no such folder"),
    "no question": (lambda: None, ["ask", "--edit", "x", " "], "the question is empty"),
    "no folder": (lambda: None, ["edits", "list", "nowhere"], "there is no folder nowhere"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_in_one_line_before_weights_are_read(
    case: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, words, told = MISTAKES[case]
    prepare()
    monkeypatch.setattr("mmke.edits.applying.load", lambda *_args, **more: _refuse(more))
    assert cli.main([*words, *TINY] if words[0] == "edit" else words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert told in error[-1]
    assert place.is_dir()


def _refuse(more: dict[str, Any]) -> Any:
    from mmke.running.loading import load_backbone

    assert more == {"skeleton": True}
    return load_backbone("tiny-llava")
