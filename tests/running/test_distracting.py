"""Distractors from elsewhere: a file of edits or another benchmark, edited in first and never asked about."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.errors import UserError
from mmke.results.steps import read_steps
from mmke.running import loop
from mmke.running.health import Look, Passage
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.schedule import Apply
from mmke.running.stream import Stream
from mmke.running.stream_settings import StreamSettings

MANY = 5


@pytest.fixture
def edits(tmp_path: Path) -> Path:
    """Return a file of edits with a picture each."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for n in range(MANY):
        Image.new("RGB", (16, 16), (40 * n, 0, 0)).save(folder / f"{n}.png")
    listed = [{"query": f"What is {n}?", "target": f"a thing {n}", "image": f"{n}.png"} for n in range(MANY)]
    (folder / "edits.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder / "edits.json"


def request(data: Path, out: Path, **stream: Any) -> Request:
    settings = StreamSettings(**{"tests": 0, "order": "file", **stream})
    changes = {"ft-llm": {"steps": 2}}
    return Request("tiny-llava", ("ft-llm",), ("mmke-entity",), data=data, out=out, changes=changes, stream=settings)


def planned(wanted: Request) -> Stream:
    (schedule,) = [cell.schedule for cell in plan(wanted).cells if cell.editor.name == "ft-llm"]
    assert isinstance(schedule, Stream)
    return schedule


def test_the_first_edits_of_the_file_are_made_first_and_all_records_are_scored(
    small_data: Path, tmp_path: Path, edits: Path
) -> None:
    own = planned(request(small_data, tmp_path / "own"))
    stream = planned(request(small_data, tmp_path / "out", distract=2, distract_from=str(edits)))
    applied = [event for event in stream.events(previous=False) if isinstance(event, Apply)]
    assert [event.cases[0].edits[0].target for event in applied[:2]] == ["a thing 0", "a thing 1"]
    assert [event.distractors for event in applied] == [True] * 2 + [False] * own.tests
    assert stream.scored == own.scored


def test_the_records_of_another_benchmark_are_distractors_too(small_data: Path, tmp_path: Path) -> None:
    stream = planned(request(small_data, tmp_path, distract=2, distract_from="mmke-user"))
    records = json.loads((small_data / "data_json/user_eval.json").read_text(encoding="utf-8"))
    assert [case.edits[0].target for case in stream.distractors] == [record["alt"] for record in records[:2]]
    assert {case.id for case in stream.distractors} & {case.id for case in stream.cases} == set()


def test_the_content_of_the_edits_decides_which_stream_it_is_and_not_their_place(
    small_data: Path, tmp_path: Path, edits: Path
) -> None:
    def named(file: Path) -> str:
        return planned(request(small_data, tmp_path / "out", distract=2, distract_from=str(file))).name

    elsewhere = shutil.copytree(edits.parent, tmp_path / "again") / edits.name
    first = named(edits)
    assert named(elsewhere) == first
    Image.new("RGB", (16, 16), (1, 2, 3)).save(elsewhere.with_name("0.png"))
    assert named(elsewhere) != first


def test_a_stream_without_it_is_described_as_before(small_data: Path, tmp_path: Path) -> None:
    assert "distract_from" not in planned(request(small_data, tmp_path, distract=1, tests=1)).described()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"distract": MANY + 1, "distract_from": "edits.json"}, r"edits.json holds 5 edits; take --distract 5"),
        ({"distract_from": "edits.json"}, "say with --distract how many edits to take"),
        ({"distract": 1, "distract_from": "no/such.json"}, r"no benchmark file 'no/such.json'"),
    ],
)
def test_a_mistake_is_told_before_weights_are_read(
    small_data: Path,
    tmp_path: Path,
    edits: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(edits.parent)
    with pytest.raises(UserError, match=message):
        plan(request(small_data, tmp_path / "out", **given))


@pytest.mark.slow
def test_they_are_in_the_model_before_the_first_record(
    small_data: Path, tmp_path: Path, edits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "look", lambda _: Look(passages=(Passage(nats=9.0, tokens=9),), repeated=0, written=2))
    wanted = request(small_data, tmp_path / "out", tests=1, distract=3, distract_from=str(edits), batch=1)
    (folder,) = [folder for folder in run(plan(wanted)) if folder.name == "ft-llm"]
    steps = read_steps(folder)
    assert [(step.distractors, step.edits_applied) for step in steps] == [(True, 1), (True, 2), (True, 3), (False, 4)]
    assert [step.refused for step in steps] == [{}] * 4
