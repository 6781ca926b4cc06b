"""A grid as a whole: trainings first, then all cells; killed and continued; what cannot be made is told at once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from in_turns import InTurns

from mmke.cli import main
from mmke.errors import UserError
from mmke.grid.checks import check
from mmke.grid.expand import Run
from mmke.grid.trainings import checkpoint_of
from mmke.grid.work import plans_of, run_all, train_all
from mmke.results.status import Looker
from mmke.workers.protocols import Job

SAME = ("rows.jsonl", "answers.jsonl", "cases.jsonl", "best.safetensors", "last.safetensors")


class Killed(BaseException):
    """The program ends here."""


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for name in SAME for file in sorted(folder.rglob(name))}


def carried_out(runs: list[Run], *, kill_training_at: int = 0, kill_run_at: int = 0) -> None:
    """Do a grid, or end it after so many records."""
    written = 0

    def on_records(done: int) -> None:
        if kill_training_at and done >= kill_training_at:
            raise Killed

    def on_record() -> None:
        nonlocal written
        written += 1
        if written == kill_run_at:
            raise Killed

    checked = check(runs)
    assert checked.problems == []
    train_all(checked, on_records=on_records)
    run_all(plans_of(checked), on_record=on_record)


@pytest.mark.slow
def test_a_grid_trains_runs_and_is_passed_over_when_it_is_finished(
    small_grid: Path, runs_of: Callable[..., list[Run]], own_pictures: Path, tmp_path: Path
) -> None:
    words = ["grid", str(small_grid), "--data", str(own_pictures)]
    words += ["--out", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "checkpoints")]
    assert main(words) == 0
    first = files(tmp_path)
    assert len([name for name in first if name.endswith("rows.jsonl")]) == 6
    assert len([name for name in first if name.endswith("best.safetensors")]) == 2
    checked = check(runs_of(small_grid))
    assert not checked.trainings
    assert len(checked.plans) == 2
    assert main(words) == 0
    assert files(tmp_path) == first


@pytest.mark.slow
def test_all_cells_are_seen_from_the_start_also_those_that_wait_for_a_training(
    small_grid: Path, own_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("mmke.grid.work.train_by", killed)
    words = ["grid", str(small_grid), "--data", str(own_pictures), "--out", str(tmp_path / "results")]
    with pytest.raises(Killed):
        main([*words, "--checkpoints", str(tmp_path / "checkpoints")])
    found = Looker(tmp_path / "results").look().cells
    assert [cell.place.split("/")[-1] for cell in found] == ["ft-llm", "mend", "none"] * 2
    assert [(cell.done, cell.wanted) for cell in found] == [(0, 2)] * 6


@pytest.mark.slow
def test_a_grid_that_was_killed_continues_to_the_same_bytes(
    small_grid: Path, runs_of: Callable[..., list[Run]], tmp_path: Path
) -> None:
    whole, killed = runs_of(small_grid, place=tmp_path / "whole"), runs_of(small_grid, place=tmp_path / "killed")
    carried_out(whole)
    for at in ({"kill_training_at": 5}, {"kill_training_at": 12}, {"kill_run_at": 3}, {"kill_run_at": 8}):
        with pytest.raises(Killed):
            carried_out(killed, **at)
    carried_out(killed)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.slow
def test_a_finished_training_is_not_repeated_and_a_killed_one_is(
    small_grid: Path, runs_of: Callable[..., list[Run]]
) -> None:
    runs = runs_of(small_grid)
    with pytest.raises(Killed):
        carried_out(runs, kill_training_at=12)
    first, second = (run.trainings["mend"] for run in runs)
    assert checkpoint_of(first) is not None
    assert checkpoint_of(second) is None
    assert [planned.names for planned in check(runs).trainings.values()] == [("mmke-user",)]


@pytest.mark.slow
def test_what_cannot_be_made_is_told_for_all_cells_before_anything_runs(
    small_grid: Path, own_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(own_pictures, tmp_path / "data")
    (data / "data_json" / "user_eval.json").unlink()
    text = small_grid.read_text().replace('["tiny-llava"]', '["tiny-llava", "llava-1.5-7b"]')
    small_grid.write_text(text)
    out = tmp_path / "results"
    assert main(["grid", str(small_grid), "--data", str(data), "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert "4 cells (mend ft-llm, for tiny-llava llava-1.5-7b, on mmke-user, hop 1, strict, seed 0)" in told
    assert "user_eval.json" in told
    assert "2 cells (mend ft-llm, for llava-1.5-7b, on mmke-entity, hop 1, strict, seed 0)" in told
    assert "--keep-going" in told
    assert not out.exists()


@pytest.mark.slow
def test_what_can_be_done_is_done_with_keep_going(
    small_grid: Path, own_pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(own_pictures, tmp_path / "data")
    (data / "data_json" / "user_eval.json").unlink()
    words = ["grid", str(small_grid), "--data", str(data), "--out", str(tmp_path / "results"), "--keep-going"]
    assert main([*words, "--checkpoints", str(tmp_path / "checkpoints")]) == 1
    assert "user_eval.json" in capsys.readouterr().out
    assert {file.parent.name for file in (tmp_path / "results").rglob("rows.jsonl")} == {"none", "ft-llm", "mend"}


@pytest.mark.slow
def test_a_training_of_other_settings_is_refused_before_anything_runs(
    small_grid: Path, runs_of: Callable[..., list[Run]]
) -> None:
    runs = runs_of(small_grid, "benchmark=mmke-entity")
    checked = check(runs)
    with pytest.raises(Killed):
        carried_out(runs, kill_training_at=5)
    small_grid.write_text(small_grid.read_text().replace("rank = 4", "rank = 5"))
    problems = check(runs_of(small_grid, "benchmark=mmke-entity")).problems
    assert checked.problems == []
    assert ["rank = 4 there and 5 here" in problem.why for problem in problems] == [True]


@pytest.mark.slow
def test_a_training_that_ends_with_a_mistake_takes_only_its_cells(
    small_grid: Path, runs_of: Callable[..., list[Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> Path:
        raise UserError("no finite number")

    monkeypatch.setattr("mmke.training.by_workers.train", fails)
    checked = check(runs_of(small_grid))
    problems = train_all(checked, keep_going=True)
    assert [cell.benchmark for problem in problems for cell in problem.cells] == ["mmke-entity", "mmke-user"]
    assert [cell.editor.name for planned in plans_of(checked) for cell in planned.cells] == ["none", "ft-llm"] * 2


@pytest.mark.slow
def test_workers_write_the_bytes_of_one_process(
    small_grid: Path, own_pictures: Path, tmp_path: Path, runs_of: Callable[..., list[Run]]
) -> None:
    words = ["grid", str(small_grid), "--data", str(own_pictures), "--out", str(tmp_path / "two" / "results")]
    words += ["--checkpoints", str(tmp_path / "two" / "checkpoints"), "--workers", "2"]
    assert main(words) == 0
    carried_out(runs_of(small_grid, place=tmp_path / "one"))
    assert files(tmp_path / "two") == files(tmp_path / "one")


@pytest.mark.slow
def test_with_keep_going_workers_do_the_other_runs_when_one_ends_with_a_mistake(
    small_grid: Path, runs_of: Callable[..., list[Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: Job, _sent: int, _worker: int) -> Exception | None:
        return UserError("a broken picture") if job.name.startswith("mmke-entity") else None

    plans = plans_of(check(runs_of(small_grid, "editor=ft-llm")))
    monkeypatch.setattr("mmke.grid.work.pool_for", lambda *_, **__: InTurns(2, fails))
    with pytest.raises(UserError, match="a broken picture"):
        run_all(plans)
    outcome = run_all(plans, keep_going=True)
    assert [(cell.benchmark, cell.editor) for problem in outcome.problems for cell in problem.cells] == [
        ("mmke-entity", "none"),
        ("mmke-entity", "ft-llm"),
    ]
    assert {folder.name for folder in outcome.folders} == {"none", "ft-llm"}
    assert {folder.parents[3].name for folder in outcome.folders} == {"mmke-user"}
