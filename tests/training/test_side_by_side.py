"""Trainings by several workers write the checkpoints that each writes alone, whatever happens to the workers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from in_turns import InTurns, Meddle

from mmke.editing.trained import BEST, LAST, read_facts
from mmke.editors.mend.edit import Mend
from mmke.errors import UserError
from mmke.training import side_by_side
from mmke.training.curves import CURVES
from mmke.training.side_by_side import Reached, Training, train_side_by_side
from mmke.training.train import TrainRequest, plan, train
from mmke.workers.protocols import Desk, Lost

Asked = Callable[..., TrainRequest]
SAME = (BEST, LAST, CURVES)


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "TOLD_EVERY", 0.0)


def files(folders: list[Path]) -> list[bytes]:
    return [(folder / name).read_bytes() for folder in folders for name in SAME]


def alone(asked: Asked, out: Path, *editors: str) -> list[bytes]:
    return files([train(plan(asked(editor=editor, out=out))).parent for editor in editors])


def losing(*, at: int, times: int) -> Meddle:
    """Lose the worker at its so many-th message, so many times."""
    lost: list[int] = []

    def meddle(_job: object, sent: int, _worker: int) -> Lost | None:
        if sent != at or len(lost) == times:
            return None
        lost.append(sent)
        return Lost(0, "killed by signal 9", "its last line", restarts=True)

    return meddle


@pytest.mark.slow
def test_a_training_has_the_bytes_of_one_alone_and_two_count_together(asked: Asked, tmp_path: Path) -> None:
    few = {"steps": 4, "validate_every": 2}
    plans = [plan(asked(changes=few)), plan(asked(changes={**few, "rank": 3}, out=tmp_path / "other"))]
    reached: list[int] = []
    outcome = train_side_by_side(plans, InTurns(2), on_records=reached.append)
    assert outcome.best == [planned.folder / BEST for planned in plans]
    assert outcome.problems == []
    best = train(plan(asked(changes=few, out=tmp_path / "alone")))
    assert files([plans[0].folder]) == files([best.parent])
    assert (min(reached), reached[-1]) == (0, 8)
    assert not list(tmp_path.rglob(".workers-*"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_each_editor_has_the_bytes_of_a_training_alone(workers: int, asked: Asked, tmp_path: Path) -> None:
    editors = ("mend", "serac", "ke")
    plans = [plan(asked(editor=editor)) for editor in editors]
    assert train_side_by_side(plans, InTurns(workers)).problems == []
    assert files([planned.folder for planned in plans]) == alone(asked, tmp_path / "alone", *editors)


@pytest.mark.slow
def test_a_training_whose_worker_was_lost_goes_on_from_its_last_checkpoint(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, seen = plan(asked()), []
    monkeypatch.setattr(side_by_side, "records_done", lambda each: seen.append(DONE(each)) or seen[-1])
    outcome = train_side_by_side([planned], InTurns(1, losing(at=5, times=2)))
    assert outcome.problems == []
    assert files([planned.folder]) == alone(asked, tmp_path / "alone", "mend")
    # Of the driver, then of each worker: the second one found what was written at the last validation.
    assert seen[:3] == [0, 0, 4]


DONE = side_by_side.records_done


@pytest.mark.slow
def test_what_loses_every_worker_is_left_out_and_the_others_go_on(asked: Asked, tmp_path: Path) -> None:
    plans = [plan(asked()), plan(asked(editor="ke"))]

    def meddle(job: object, sent: int, _worker: int) -> Lost | None:
        assert isinstance(job, Training)
        gone = job.request.editor == "mend" and sent == 2
        return Lost(0, "killed by signal 9", "its last line", restarts=True) if gone else None

    outcome = train_side_by_side(plans, InTurns(1, meddle))
    assert outcome.best == [plans[1].folder / BEST]
    assert [problem.what.split()[0] for problem in outcome.problems] == ["mend"]
    assert "3 workers were lost with it, the last one: killed by signal 9\nits last line" in outcome.problems[0].why
    assert read_facts(plans[1].folder / LAST)[0].records == 12


def test_a_training_that_ends_with_a_mistake_does_not_stop_the_others(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [plan(asked(editor="ke")), plan(asked())]

    def broken(*_: object, **__: object) -> None:
        raise UserError("cpu has too little memory")

    monkeypatch.setattr(Mend, "losses", broken)
    outcome = train_side_by_side(plans, InTurns(1))
    assert outcome.best == [plans[0].folder / BEST]
    assert [(each.what.split()[0], each.why) for each in outcome.problems] == [("mend", "cpu has too little memory")]


def test_a_worker_of_other_records_trains_nothing(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, other = plan(asked()), plan(asked(seed=1))
    monkeypatch.setattr(side_by_side, "plan", lambda _request, **_: other)
    with pytest.raises(UserError, match=r"no worker is left.*mend for tiny-llava.*it would train with other seed"):
        train_side_by_side([planned], InTurns(2))
    assert not planned.folder.exists()


def test_a_worker_that_sees_another_folder_trains_nothing(asked: Asked, tmp_path: Path) -> None:
    planned = plan(asked())
    job = Training(planned.request, side_by_side.facts_of(planned), sign=".workers-1")
    with pytest.raises(UserError, match=r"--out .* is another folder there"):
        job.do(Desk(0, 1, lambda _: None))


def test_a_machine_without_the_device_plans_what_workers_train_on_theirs(asked: Asked) -> None:
    request = asked(device="cuda:7")
    with pytest.raises(UserError, match="'cuda:7' is not there"):
        plan(request)
    planned = plan(replace(request, elsewhere=True))
    outcome = train_side_by_side([planned], InTurns(1))
    assert ["'cuda:7' is not there" in problem.why for problem in outcome.problems] == [True]


def test_two_trainings_of_one_folder_are_refused(asked: Asked) -> None:
    with pytest.raises(UserError, match="two trainings would write into"):
        train_side_by_side([plan(asked())] * 2, InTurns(1))


@pytest.mark.slow
def test_a_worker_is_alone_even_where_several_processes_were_started(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a worker asked what was started with it")

    planned = plan(asked())
    monkeypatch.setattr("mmke.training.train.find_processes", never)
    sent: list[object] = []
    with side_by_side.signed(planned.request.out) as sign:
        Training(planned.request, side_by_side.facts_of(planned), sign).do(Desk(0, 1, sent.append))
    assert sent[0] == Reached(0)
    assert sent[-1] == side_by_side.Trained(planned.folder / BEST)
