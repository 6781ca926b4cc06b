"""`mmke train` with several editors: in this process, or by workers, with the checkpoints of each alone."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmke.cli import main
from mmke.cli.train import own_changes
from mmke.editing.trained import BEST, LAST
from mmke.editors.mend.edit import Mend
from mmke.errors import UserError
from mmke.training.by_workers import train_by
from mmke.training.curves import CURVES
from mmke.training.processes import Processes
from mmke.training.side_by_side import Outcome
from mmke.training.train import TrainRequest, plan, train
from mmke.workers.settings import WorkerSettings

Asked = Callable[..., TrainRequest]
HERE = WorkerSettings(count=1)


def files(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in (BEST, LAST, CURVES)]


def command(request: TrainRequest, *editors: str) -> list[str]:
    shared = {name: value for name, value in request.changes.items() if name not in ("rank", "patience")}
    words = ["train", *editors, "--backbone", "tiny-llava", "--benchmark", "mmke-user", "--data", str(request.data)]
    words += [f"--set={name}={value}" for name, value in shared.items()]
    own = {"mend": "--set=mend.rank=4", "ke": "--set=ke.lstm=8"}
    return [*words, *(own[editor] for editor in editors), "--out", str(request.out)]


def test_settings_belong_to_the_editor_in_front_or_to_all() -> None:
    given = ["steps=3", "mend.rank=4", "ke.lstm=8"]
    assert own_changes("mend", given, None, among=("mend", "ke")) == {"steps": 3, "rank": 4}
    assert own_changes("ke", given, None, among=("mend", "ke")) == {"steps": 3, "lstm": 8}
    assert own_changes("mend", ["rank=4"], None) == {"rank": 4}


@pytest.mark.slow
def test_one_training_ends_with_its_own_mistake_and_several_go_on(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(Mend, "losses", broken)
    with pytest.raises(UserError, match="the disk is full"):
        train_by([plan(asked())], HERE)
    reached: list[int] = []
    outcome = train_by([plan(asked()), plan(asked(editor="ke"))], HERE, on_records=reached.append)
    assert [each.parent.name for each in outcome.best] == ["ke"]
    assert [each.why for each in outcome.problems] == ["the disk is full"]
    assert (reached[0], reached[-1]) == (12, 24)


def test_where_all_trainings_are_done_nothing_is_trained() -> None:
    assert train_by([], HERE) == train_by([], WorkerSettings()) == Outcome([], [])


def test_processes_that_share_a_step_do_one_training(asked: Asked) -> None:
    planned = plan(asked())
    object.__setattr__(planned, "processes", Processes(0, 2, "cpu"))
    with pytest.raises(UserError, match="2 trainings in processes that share their steps; train one at a time"):
        train_by([planned, planned], HERE)


def test_gpus_for_workers_on_a_processor_are_refused(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(asked(), "mend", "ke"), "--cards-per-worker", "2"]) == 2
    assert "--cards-per-worker 2 is for GPUs, and --device is cpu" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_trains_by_workers_what_each_training_makes_alone(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = asked()
    assert main([*command(request, "mend", "ke"), "--workers", "2"]) == 0
    told = capsys.readouterr()
    assert "mend on tiny-llava, mmke-user: 5 records to train on, 1 to validate with" in told.out
    assert told.out.count("best: ") == 2
    folder = plan(request).folder
    for editor in ("mend", "ke"):
        assert main(command(asked(out=tmp_path / "alone"), editor)) == 0
        assert files(folder.with_name(editor)) == files(tmp_path / "alone" / "tiny-llava" / "mmke-user" / editor)


@pytest.mark.slow
def test_a_worker_that_is_killed_goes_on_from_its_last_checkpoint(asked: Asked, tmp_path: Path) -> None:
    changes = {"steps": 60, "validate_every": 12}
    plans = [plan(asked(changes=changes)), plan(asked(editor="ke", changes=changes))]
    best, killed = plans[0].folder / BEST, []

    def kill() -> None:
        while not best.exists():
            time.sleep(0.02)
        killed.append(holder(plans[0].folder / ".lock"))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = train_by(plans, WorkerSettings(count=2, folder=tmp_path / "logs"))
    killer.join()
    assert killed[0] != os.getpid()
    assert outcome.problems == []
    alone = train(plan(asked(changes=changes, out=tmp_path / "alone")))
    assert files(plans[0].folder) == files(alone.parent)


def holder(lock: Path) -> int:
    """Return the process that has a file locked."""
    inode = lock.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("nobody holds the lock")
