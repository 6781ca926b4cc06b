"""One record that cannot be asked or edited is unscored with its reason, and the run goes on."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.benchmarks.open import open_benchmark
from mmke.cli import main
from mmke.results.finished import read_finished
from mmke.running import beforehand
from mmke.running.loading import load_backbone
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.types import STRICT, Ask, ScoreRow

LONG = "word " * 900
"""4,500 letters: more than the 4,096 positions of the table."""


@pytest.fixture
def changed(small_data: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Lend a copy of the data in which fields of the second evaluation record are others."""

    def change(fields: dict[str, Any]) -> Path:
        data = shutil.copytree(small_data, tmp_path / "data")
        file = data / "data_json" / "entity_eval.json"
        records = json.loads(file.read_text())
        records[1] |= fields
        file.write_text(json.dumps(records))
        return data

    return change


def ask(data: Path, out: Path, *, protocol: str = "strict") -> Request:
    changes = {"ft-llm": {"steps": 1}}
    return Request("tiny-blip2", ("ft-llm",), ("mmke-entity",), data=data, out=out, changes=changes, protocol=protocol)


def rows(folders: list[Path], editor: str) -> list[ScoreRow]:
    (folder,) = [folder for folder in folders if folder.name == editor]
    return [row for record in read_finished(folder) for row in record.rows]


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_a_question_that_is_too_long_is_unscored_alone(
    changed: Callable[[dict[str, Any]], Path], tmp_path: Path, protocol: str
) -> None:
    folders = run(plan(ask(changed({"rel_1": LONG}), tmp_path / "out", protocol=protocol)))
    for editor in ("none", "ft-llm"):
        without = [row for row in rows(folders, editor) if row.value is None]
        assert {(row.case_id, row.metric) for row in without} == {("entity-00001", "t_rel")}
        assert all("positions, and tiny-blip2 has a table of 4096" in str(row.reason) for row in without)
        assert len({row.case_id for row in rows(folders, editor)}) == 4


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_an_edit_that_cannot_be_made_leaves_its_record_unscored(
    changed: Callable[[dict[str, Any]], Path], tmp_path: Path, protocol: str
) -> None:
    folders = run(plan(ask(changed({"alt": LONG}), tmp_path / "out", protocol=protocol)))
    edited = {row.case_id: set() for row in rows(folders, "ft-llm")}
    for row in rows(folders, "ft-llm"):
        edited[row.case_id].add(str(row.reason).partition(":")[0])
    assert edited.pop("entity-00001") == {"the edit cannot be made"}
    assert set().union(*edited.values()) == {"None"}
    assert any(row.value is not None for row in rows(folders, "none") if row.case_id == "entity-00001")


def test_a_picture_with_broken_pixels_is_unscored(changed: Callable[[dict[str, Any]], Path], tmp_path: Path) -> None:
    data = changed({"m_loc": "broken.ppm"})
    whole = data / "data_image" / "broken.ppm"
    Image.effect_noise((64, 64), 80).convert("RGB").save(whole)
    whole.write_bytes(whole.read_bytes()[:500])
    folders = run(plan(ask(data, tmp_path / "out")))
    without = [row for row in rows(folders, "ft-llm") if row.value is None]
    assert {row.metric.partition("_loc")[0] for row in without} == {"i"}
    assert all("broken.ppm cannot be read as a picture" in str(row.reason) for row in without)


def test_a_run_says_beforehand_what_it_cannot_ask_and_what_is_long(
    changed: Callable[[dict[str, Any]], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = changed({"rel_1": LONG, "alt": "word " * 300})
    with caplog.at_level(logging.WARNING):
        run(plan(ask(data, tmp_path / "out")))
    assert "1 cannot be put to tiny-blip2 and will be unscored" in caplog.text
    assert "record entity-00001, probe 5 (t_rel): 'word word" in caplog.text
    assert "4 texts of 1000 positions or more; the longest (record entity-00001, " in caplog.text


def test_check_finds_it_without_weights(changed: Callable[[dict[str, Any]], Path]) -> None:
    data = changed({"m_rel_1": LONG})
    benchmark = open_benchmark("mmke-entity", data=data)
    skeleton = load_backbone("tiny-blip2", skeleton=True)
    found = beforehand.check(skeleton, benchmark, hop=1)
    assert [each.place.partition(" (")[2] for each in found] == ["i_rel)", "i_gen)"]
    assert {each.case for each in found} == {"entity-00001"}
    assert all("has a table of 4096" in each.reason for each in found)
    cases = benchmark.load("eval", hop=1, switches=STRICT).cases
    assert beforehand.refused(skeleton, cases[:1], Ask(), pictures=True) == []


def test_the_command_finds_it_too(
    changed: Callable[[dict[str, Any]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = changed({"m_rel_1": LONG})
    command = ["check", "mmke-entity", "--data", str(data), "--backbone", "tiny-blip2"]
    assert main(command) == 2
    assert (
        "tiny-blip2: 2 questions or edits that it cannot be asked\nrecord entity-00001, probe"
        in capsys.readouterr().out
    )


def test_check_looks_at_the_model_beside_a_problem_that_stops_no_run(
    changed: Callable[[dict[str, Any]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data = changed({"loc": " ", "rel_1": LONG})
    assert main(["check", "mmke-entity", "--data", str(data), "--backbone", "tiny-blip2"]) == 2
    told = capsys.readouterr().out
    assert "a run leaves out this question alone" in told
    assert "tiny-blip2: 1 question or edit that it cannot be asked" in told


def test_every_question_about_a_picture_that_a_model_refuses_is_told(small_data: Path, tmp_path: Path) -> None:
    data = shutil.copytree(small_data, tmp_path / "data")
    (data / "data_image" / "broken.ppm").write_bytes(b"P6 64 64 255 too short")
    file = data / "data_json" / "entity_eval.json"
    file.write_text(json.dumps([each | {"m_loc": "broken.ppm"} for each in json.loads(file.read_text())]))
    cases = open_benchmark("mmke-entity", data=data).load("eval", hop=1, switches=STRICT).cases
    found = beforehand.refused(load_backbone("tiny-llava", skeleton=True), cases, Ask(), pictures=True)
    assert [each.case for each in found] == [case.id for case in cases]
