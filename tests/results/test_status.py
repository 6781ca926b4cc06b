"""How far a results folder is: finished, being written, not begun, broken, empty."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmke.cli.app import main
from mmke.errors import UserError
from mmke.results.folder import open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.plans import PlannedCell, WrittenPlan, write_plan
from mmke.results.shard import Shard
from mmke.results.status import CellStatus, Looker, as_dict
from mmke.results.timings import Timing
from mmke.types import EditCase, ScoreRow

CaseOf = Callable[[str], EditCase]
RowsOf = Callable[[str], list[ScoreRow]]


@pytest.fixture
def written(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, case: CaseOf, record: RowsOf, timing: Timing
) -> Path:
    """A folder of one cell with two records."""
    with open_run(tmp_path, settings, facts) as folder:
        for name in "ab":
            folder.append(case(name), record(name), timing)
    return folder.path


def plan(out: Path, **wanted: int) -> None:
    write_plan(out, WrittenPlan(None, {place: PlannedCell(count) for place, count in wanted.items()}))


def place(out: Path, folder: Path) -> str:
    return folder.relative_to(out).as_posix()


def only(out: Path) -> CellStatus:
    (cell,) = Looker(out).look().cells
    return cell


def test_the_plan_says_how_many_records_there_are_to_be(tmp_path: Path, written: Path) -> None:
    plan(tmp_path, **{place(tmp_path, written): 3})
    cell = only(tmp_path)
    assert (cell.done, cell.wanted, cell.left) == (2, 3, 1)


def test_a_folder_of_an_earlier_version_does_not_say_how_many(tmp_path: Path, written: Path) -> None:
    file = written / "run.json"
    run = json.loads(file.read_text())
    assert "wanted" not in run["records"]
    del run["history"][0]["done"]
    file.write_text(json.dumps(run))
    cell = only(tmp_path)
    assert (cell.done, cell.wanted, cell.used) == (2, None, run["records"]["used"])
    assert Looker(tmp_path).look().wanted is None


def test_a_cell_that_has_not_begun_is_seen_in_the_plan(tmp_path: Path, written: Path) -> None:
    plan(tmp_path, **{place(tmp_path, written): 2, "later": 5})
    found = Looker(tmp_path).look()
    assert ("later", 0, 5) in [(cell.place, cell.done, cell.wanted) for cell in found.cells]
    assert (found.done, found.wanted, found.finished) == (2, 7, False)


def test_half_a_line_of_a_program_that_writes_is_passed_over(tmp_path: Path, written: Path) -> None:
    for name in ("rows.jsonl", "answers.jsonl", "timings.jsonl", "cases.jsonl"):
        with (written / name).open("ab") as file:
            file.write(b'{"case_id": "c", "sch')
    assert only(tmp_path).done == 2


def test_the_lock_of_a_program_that_writes_is_seen(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, written: Path
) -> None:
    plan(tmp_path, **{place(tmp_path, written): 3})
    with open_run(tmp_path, settings, facts):
        assert only(tmp_path).writing == "lock"
    assert only(tmp_path).writing == "recent"


def test_an_unfinished_cell_that_nobody_has_written_for_long_is_not_being_written(
    tmp_path: Path, written: Path
) -> None:
    plan(tmp_path, **{place(tmp_path, written): 3})
    for file in written.iterdir():
        os.utime(file, (time.time() - 3600,) * 2)
    cell = only(tmp_path)
    assert cell.writing == "no"
    assert cell.seconds_left is None


def test_looking_does_not_keep_a_run_from_beginning(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, written: Path
) -> None:
    program = f"""
import fcntl, sys, time
lock = open({str(written / ".lock")!r}, "rb")
fcntl.flock(lock, fcntl.LOCK_SH)
print("held", flush=True)
time.sleep(0.05)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as looker:
        assert looker.stdout is not None
        looker.stdout.readline()
        with open_run(tmp_path, settings, facts) as folder:
            assert len(folder.done) == 2


def test_the_rate_is_that_of_the_last_start(tmp_path: Path, written: Path) -> None:
    plan(tmp_path, **{place(tmp_path, written): 4})
    file = written / "run.json"
    run = json.loads(file.read_text())
    run["history"][0] |= {"started": "2026-01-01T00:00:00+00:00", "done": 1}
    file.write_text(json.dumps(run))
    began = 1767225600.0
    for each in written.iterdir():
        os.utime(each, (began + 30, began + 30))
    assert only(tmp_path).per_minute == pytest.approx(2.0)


def test_a_broken_cell_is_named_and_the_others_are_shown(
    tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert main(["status", str(tmp_path)]) == 2
    shown = capsys.readouterr().out
    assert "broken/run.json is broken" in shown
    assert place(tmp_path, written) in shown


@pytest.mark.parametrize("make", [lambda folder: folder.mkdir(), lambda _: None, lambda folder: folder.touch()])
def test_no_results_is_one_line(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "empty")
    with pytest.raises(UserError, match="no results below"):
        Looker(tmp_path / "empty").look()


def test_a_folder_of_shards_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    for number in (1, 2):
        write_plan(tmp_path / str(number), WrittenPlan(Shard(number, 2), {"cell": PlannedCell(number)}))
    found = Looker(tmp_path).look()
    assert [(cell.place, cell.wanted) for cell in found.cells] == [("1/cell", 1), ("2/cell", 2)]


def test_watching_ends_when_all_is_done(
    tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.cli.status.EVERY", 0.01)
    plan(tmp_path, **{place(tmp_path, written): 3})
    monkeypatch.setattr("mmke.cli.status.time.sleep", lambda _: plan(tmp_path, **{place(tmp_path, written): 2}))
    assert main(["status", str(tmp_path), "--watch", "--format", "json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["done"], each["wanted"], each["finished"]) for each in shown] == [(2, 3, False), (2, 2, True)]


def test_ctrl_c_ends_watching_without_a_message(
    tmp_path: Path, written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    plan(tmp_path, **{place(tmp_path, written): 3})
    monkeypatch.setattr("mmke.cli.status.time.sleep", interrupted)
    assert main(["status", str(tmp_path), "--watch"]) == 0
    assert capsys.readouterr().err == ""


def test_the_plain_data_of_a_status_can_be_written_as_json(tmp_path: Path, written: Path) -> None:
    plan(tmp_path, **{place(tmp_path, written): 3})
    found = as_dict(Looker(tmp_path).look())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["cells"][0]["writing"] == "recent"
