"""Processes of this machine as workers: nothing that they sent is lost, and none of them is left."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import small_jobs
from small_jobs import Small, is_running

from mmke.workers.processes import Processes
from mmke.workers.protocols import MOST_STARTS, Done, Event, Failed, Lost, Pool, Ready, Result
from mmke.workers.settings import WorkerSettings


def pool(folder: Path, size: int = 1) -> Processes:
    return Processes(WorkerSettings(folder=folder), size, set_up=small_jobs.set_up)


def until(pool: Pool, *ends: type[Event]) -> list[Event]:
    events = [pool.next()]
    while not isinstance(events[-1], ends):
        events.append(pool.next())
    return events


def logs(folder: Path) -> Sequence[Path]:
    return list((folder / ".workers").glob("*")) if (folder / ".workers").exists() else []


def test_results_come_in_order_and_no_process_and_no_log_is_left(tmp_path: Path) -> None:
    with pool(tmp_path, 2) as workers:
        ready = [workers.next(), workers.next()]
        assert isinstance(workers, Pool)
        assert {event.worker for event in ready if isinstance(event, Ready)} == {0, 1}
        workers.give(1, Small("some", send=3))
        assert until(workers, Done) == [*(Result(1, ("some", number)) for number in range(3)), Done(1)]
        workers.give(1, Small("environment", send=0, then=small_jobs.tell_environment))
        told = until(workers, Done)[0]
        assert told == Result(1, (os.environ.get("CUDA_VISIBLE_DEVICES"), "1", str(Path.cwd()), 2))
        workers.give(0, Small("long", then=small_jobs.sleep))
        workers.next()
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert not any(is_running(event.facts.pid) for event in ready if isinstance(event, Ready))
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_told_and_the_worker_goes_on(tmp_path: Path) -> None:
    with pool(tmp_path) as workers:
        workers.next()
        for then, kind, text in (
            (small_jobs.fail, ValueError, "a plain error"),
            (small_jobs.fail_from_afar, RuntimeError, "FromAfarError: 1 and 2"),
        ):
            workers.give(0, Small("fails", then=then))
            failed = until(workers, Failed)[-1]
            assert isinstance(failed, Failed)
            assert type(failed.error) is kind
            assert str(failed.error) == text
            assert "small_jobs.py" in failed.trace
        workers.give(0, Small("goes on"))
        assert until(workers, Done, Lost)[-1] == Done(0)
    assert "a plain error" in logs(tmp_path)[0].read_text()


def test_what_a_killed_worker_sent_comes_before_its_loss_and_it_is_started_again(tmp_path: Path) -> None:
    with pool(tmp_path) as workers:
        workers.next()
        workers.give(0, Small("dies", send=200, then=small_jobs.die))
        events = until(workers, Lost)
        lost = events[-1]
        assert events[:-1] == [Result(0, ("dies", number)) for number in range(200)]
        assert isinstance(lost, Lost)
        assert lost.restarts
        assert lost.why.startswith("killed by signal 9")
        assert "these are its last words" in lost.log
        assert isinstance(workers.next(), Ready)
        workers.give(0, Small("goes on"))
        assert until(workers, Done)[-1] == Done(0)


def test_a_worker_that_cannot_start_is_given_up_with_the_reason(tmp_path: Path) -> None:
    with Processes(WorkerSettings(folder=tmp_path), 1, set_up=small_jobs.cannot_start) as workers:
        events = [workers.next() for _ in range(MOST_STARTS + 1)]
        assert [event.restarts for event in events if isinstance(event, Lost)] == [*[True] * MOST_STARTS, False]
        last = events[-1]
        assert isinstance(last, Lost)
        assert last.why == "it ended with exit code 1"
        assert "this worker cannot start" in last.log
        with pytest.raises(RuntimeError, match="all workers have ended"):
            workers.next()


def test_nothing_is_heard_of_a_dismissed_worker(tmp_path: Path) -> None:
    with pool(tmp_path, 2) as workers:
        ready = until(workers, Ready)[0]
        assert isinstance(ready, Ready)
        workers.dismiss(ready.worker)
        assert not is_running(ready.facts.pid)
        other = workers.next()
        assert other.worker == 1 - ready.worker


def test_a_folder_that_cannot_be_written_costs_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / ".workers").write_text("a file")
    with pool(tmp_path) as workers:
        workers.next()
        workers.give(0, Small("dies", then=small_jobs.die))
        lost = until(workers, Lost)[-1]
        assert isinstance(lost, Lost)
        assert "these are its last words" in lost.log


def test_each_worker_sees_its_own_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmke.workers.cards.visible_cards", lambda: ["3", "GPU-ab"])
    settings = WorkerSettings(device="cuda", cards=0.5, folder=tmp_path)
    with Processes(settings, 3, set_up=small_jobs.set_up) as workers:
        seen: dict[int, str] = {}
        done = 0
        while done < 3:
            match workers.next():
                case Ready(worker):
                    workers.give(worker, Small("environment", send=0, then=small_jobs.tell_environment))
                case Result(worker, (card, *_)):
                    seen[worker] = card
                case _:
                    done += 1
    assert seen == {0: "3", 1: "3", 2: "GPU-ab"}


def test_a_worker_that_cannot_be_started_again_is_lost_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pool(tmp_path) as workers:
        workers.next()

        def refuse(*_: object, **__: object) -> None:
            raise BlockingIOError("no more processes")

        monkeypatch.setattr("mmke.workers.processes.subprocess.Popen", refuse)
        workers.give(0, Small("dies", then=small_jobs.die))
        lost = until(workers, Lost)[-1]
    assert isinstance(lost, Lost)
    assert not lost.restarts
    assert caplog.messages == ["worker 0 cannot be started again: no more processes"]
