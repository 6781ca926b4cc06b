"""A Ray cluster's actors as workers: what they send, and what is heard when one of them, or a machine, is lost."""

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_jobs
from local_cluster import add_node, is_running, local_cluster, log_folder, within
from small_jobs import Small

from mmke.errors import UserError
from mmke.workers.protocols import MOST_STARTS, Done, Event, Failed, Lost, Pool, Ready, Result
from mmke.workers.ray import RayPool
from mmke.workers.ray_actor import Start, Worker
from mmke.workers.ray_cluster import workers_on
from mmke.workers.settings import HERE, WorkerSettings


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(1, 1) as cluster:
        yield cluster


@pytest.fixture
def settings(cluster: Any, tmp_path: Path) -> WorkerSettings:
    return WorkerSettings(ray=cluster.address, folder=tmp_path)


def until(pool: Pool, *ends: type[Event]) -> list[Event]:
    events = [pool.next()]
    while not isinstance(events[-1], ends):
        events.append(pool.next())
    return events


def started(pool: RayPool) -> dict[int, int]:
    """Wait for all workers; return their process ids."""
    ready = [pool.next() for _ in range(pool.size)]
    return {event.worker: event.facts.pid for event in ready if isinstance(event, Ready)}


def machines_of_the_cluster() -> int:
    """Return how many machines of the connected cluster are there now."""
    import ray

    return sum(node["Alive"] for node in ray.nodes())


@pytest.mark.slow
def test_results_come_in_order_and_no_process_and_no_log_is_left(settings: WorkerSettings) -> None:
    with RayPool(settings) as pool:
        assert isinstance(pool, Pool)
        pids = started(pool)
        assert len(pids) == 2
        pool.give(1, Small("some", send=300))
        assert until(pool, Done) == [*(Result(1, ("some", number)) for number in range(300)), Done(1)]
        pool.give(0, Small("environment", send=0, then=small_jobs.tell_environment))
        (told, _) = until(pool, Done)
        # Each of the two machines has room for one of them.
        assert isinstance(told, Result)
        assert told.content[1:] == ("1", str(Path.cwd()), 1)
        pool.give(0, Small("long", then=small_jobs.sleep))
        pool.next()
        began = time.monotonic()
    assert time.monotonic() - began < 10
    within(20, lambda: not any(map(is_running, pids.values())))
    assert list(settings.folder.iterdir()) == []


@pytest.mark.slow
def test_an_error_is_told_and_the_worker_goes_on(settings: WorkerSettings) -> None:
    with RayPool(settings, 1) as pool:
        started(pool)
        for then, kind, text in (
            (small_jobs.fail, ValueError, "a plain error"),
            (small_jobs.fail_from_afar, RuntimeError, "FromAfarError: 1 and 2"),
        ):
            pool.give(0, Small("bad", then=then))
            failed = until(pool, Failed)[-1]
            assert isinstance(failed, Failed)
            assert isinstance(failed.error, kind)
            assert text in str(failed.error)
        pool.give(0, Small("good"))
        assert until(pool, Done, Lost)[-1] == Done(0)


@pytest.mark.slow
def test_a_killed_worker_starts_again_a_few_times_in_a_row(settings: WorkerSettings) -> None:
    with RayPool(settings, 1) as pool:
        for again in range(MOST_STARTS + 1):
            pids = started(pool)
            pool.give(0, Small("last", then=small_jobs.die))
            began = time.monotonic()
            lost = until(pool, Lost)[-1]
            assert time.monotonic() - began < 10
            assert isinstance(lost, Lost)
            assert f"its process {pids[0]} on" in lost.why
            assert "these are its last words" in lost.log
            assert lost.restarts == (again < MOST_STARTS)
    assert log_folder(settings.folder)


@pytest.mark.slow
def test_a_worker_that_has_been_dismissed_says_nothing_more(settings: WorkerSettings) -> None:
    with RayPool(settings, 2) as pool:
        pids = started(pool)
        pool.give(0, Small("long", then=small_jobs.sleep))
        pool.dismiss(0)
        within(20, lambda: not is_running(pids[0]))
        pool.give(1, Small("good"))
        assert [event.worker for event in until(pool, Done)] == [1, 1]


@pytest.mark.slow
def test_a_lost_machine_is_told_and_another_one_takes_its_place(cluster: Any, settings: WorkerSettings) -> None:
    node = add_node(cluster, 1)
    with RayPool(settings, 3) as pool:
        started(pool)
        for worker in range(3):
            pool.give(worker, Small("long", then=small_jobs.sleep))
            pool.next()
        began = time.monotonic()
        cluster.remove_node(node, allow_graceful=False)
        lost = pool.next()
        assert isinstance(lost, Lost)
        assert time.monotonic() - began < 20
        assert "machine" in lost.why
        assert lost.restarts
        again = add_node(cluster, 1)
        assert until(pool, Ready)[-1].worker == lost.worker
        # The cluster counts the machine's room until it knows that the machine is gone.
        cluster.remove_node(again)
        within(60, lambda: machines_of_the_cluster() == 2)


@pytest.mark.slow
def test_more_workers_than_there_is_room_for_wait(settings: WorkerSettings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), RayPool(settings, 3) as pool:
        assert isinstance(pool.next(), Ready)
        assert isinstance(pool.next(), Ready)
    assert "3 workers with 1 core each: the cluster has room for 2 now" in caplog.text


@pytest.mark.slow
def test_a_cluster_without_room_is_a_mistake(settings: WorkerSettings) -> None:
    wants_card = WorkerSettings(ray=settings.ray, folder=settings.folder, device="cuda")
    with pytest.raises(UserError, match=r"no room for a worker \(1 GPU each\)"), RayPool(wants_card):
        pass


@pytest.mark.slow
def test_a_cluster_of_this_machine_ends_with_the_pool(tmp_path: Path) -> None:
    with RayPool(WorkerSettings(ray=HERE, threads=2, folder=tmp_path), 1) as pool:
        (pid,) = started(pool).values()
        pool.give(0, Small("environment", send=0, then=small_jobs.tell_environment))
        told = pool.next()
        assert isinstance(told, Result)
        assert told.content[1] == "2"
    assert not is_running(pid)


@pytest.mark.slow  # only since Ray is imported
@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", "--ray 127.0.0.1:1: nothing answers there"),
        ("head", "give HOST:PORT of the cluster's head, or auto on a machine of the cluster"),
        ("ray://head:10001", "is the address of a client's server; give the command on a machine of the cluster"),
    ],
)
def test_a_cluster_that_is_not_there_is_a_mistake(address: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told), RayPool(WorkerSettings(ray=address, folder=tmp_path)):
        pass


@pytest.mark.parametrize(
    ("device", "cards", "threads", "workers"),
    [("cuda", 1.0, 1, 8), ("cuda", 0.5, 1, 16), ("cuda", 0.1, 1, 80), ("cuda", 3.0, 1, 2), ("cpu", 1.0, 5, 12)],
)
def test_a_machine_has_room_for_as_many_workers_as_it_has_gpus_or_cores_for(
    device: str, cards: float, threads: int, workers: int
) -> None:
    settings = WorkerSettings(ray="auto", device=device, cards=cards, threads=threads)
    node = {"Alive": True, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    assert workers_on(node, settings) == workers
    assert workers_on({**node, "Alive": False}, settings) == 0


def test_without_ray_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'mmke\[ray\]'"), RayPool(WorkerSettings(ray=HERE)):
        pass


def test_a_machine_without_the_current_folder_is_not_used(tmp_path: Path) -> None:
    start = Start(0, WorkerSettings(ray="auto"), 1, tmp_path / "elsewhere", None)
    told = Worker(start).start()
    assert "elsewhere, in which the command was given, is not on this machine" in str(told)
