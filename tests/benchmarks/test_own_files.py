"""What a user may write for a benchmark, and what is said where it is none: lines of JSON, folders, other files."""

import json
from pathlib import Path

import pytest
from published_records import record

from mmke.benchmarks.check import check
from mmke.benchmarks.open import open_benchmark
from mmke.errors import UserError
from mmke.types import PAPER, STRICT


def lines(*raws: object) -> str:
    return "".join(f"{json.dumps(raw)}\n" for raw in raws)


def refusal(name: str | Path, data: Path | None = None) -> str:
    with pytest.raises(UserError) as caught:
        open_benchmark(str(name), data=data)
    return str(caught.value)


@pytest.mark.usefixtures("pictures")
def test_one_record_a_line_is_read_with_its_training_sibling(tmp_path: Path) -> None:
    (tmp_path / "cats_eval.jsonl").write_text(lines(record("user"), record("entity")) + "\n")
    (tmp_path / "cats_train.jsonl").write_text(lines(record("user", src="In training?")))
    opened = open_benchmark(str(tmp_path / "cats_eval.jsonl"), data=None)
    assert [case.id for case in opened.load("eval", hop=1, switches=STRICT).cases] == ["user-00000", "entity-00001"]
    assert opened.load("train", hop=0, switches=STRICT).cases[0].edits[0].query.text == "In training?"


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("content", "told"),
    [(lines(record("user")) + '{"src" 1}\n', "Expecting ':' delimiter at line 2, column 8"), ("\n", "holds no record")],
)
def test_a_broken_line_is_named(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "cats.jsonl").write_text(content)
    assert told in check(open_benchmark(str(tmp_path / "cats.jsonl"), data=None), hop=1).text()


def test_a_table_is_told_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("a,b\n")
    assert "my.csv is no benchmark file: records are read from .json and .jsonl" in refusal(tmp_path / "my.csv")


def test_a_folder_of_the_published_layout_is_told_which_names_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "data_json").mkdir()
    (tmp_path / "data_json" / "entity_eval.json").write_text("[]")
    assert f"give --data {tmp_path} with --benchmark mmke-entity" in refusal(tmp_path)


def test_a_folder_is_told_by_the_files_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cats.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    assert "mine is a folder, and a benchmark is a name or a file; files in it: mine/cats.json" in refusal("mine")


def test_a_tilde_is_the_home_folder(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cats.json").write_text(json.dumps([record("user")]))
    assert check(open_benchmark("~/cats.json", data=Path("~/data_image")), hop=1).passed


def test_a_file_that_is_not_there_is_named_whatever_its_ending() -> None:
    assert "no benchmark file 'my_eval.jsonl'" in refusal("my_eval.jsonl")
    assert "no benchmark file 'my.csv'" in refusal("my.csv")


def own(folder: Path, name: str, *raws: object) -> Path:
    (folder / name).write_text(json.dumps(raws))
    return folder / name


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(("switches", "target"), [(STRICT, "It is a pear."), (PAPER, "It is a pear.\n")])
def test_blanks_around_answers_are_left_out_under_strict_kept_under_paper_and_told(
    switches: object, target: str, tmp_path: Path
) -> None:
    raw = record("entity", alt="It is a pear.\n", rel_ans_1=" Lima", m_loc_a="yellow ")
    opened = open_benchmark(str(own(tmp_path, "cats.json", raw)), data=None)
    split = opened.load("eval", hop=1, switches=switches)  # type: ignore[arg-type]
    assert split.cases[0].edits[0].target == target
    assert [probe.target for probe in split.cases[0].probes if probe.kind.name == "recall"] == [target]
    how = "left out" if switches is STRICT else "kept and scored, as published"
    assert split.notes == (f"white space at the beginning or end of 3 answers is {how}",)
    assert "white space around 3 answers: strict leaves it out, paper scores it" in check(opened, hop=1).text()


@pytest.mark.usefixtures("pictures")
def test_a_misspelt_field_gets_the_one_that_was_meant(tmp_path: Path) -> None:
    raw = {**record("entity", without=["port_new"]), "portnew": [], "id": 7, "Tags": {}}
    opened = open_benchmark(str(own(tmp_path, "cats.json", record("entity"), raw)), data=None)
    told = "field 'portnew' is not read (in 1 record); did you mean 'port_new'?"
    assert told in opened.load("eval", hop=1, switches=STRICT).notes
    text = check(opened, hop=1).text()
    assert told in text
    assert "field 'Tags' is not read (in 1 record); did you mean 'tags'?" in text
    assert "not read: id (1)" in text


@pytest.mark.usefixtures("pictures")
def test_records_that_stand_in_both_splits_are_told(tmp_path: Path) -> None:
    same, other = record("entity"), record("entity", src="Which?")
    own(tmp_path, "cats_train.json", other, same)
    text = check(open_benchmark(str(own(tmp_path, "cats_eval.json", same)), data=None), hop=1).text()
    assert "in both splits: 1 record (eval 0 = train 1); what learns from train has seen them" in text
