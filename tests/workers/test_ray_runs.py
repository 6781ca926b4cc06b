"""A run by the workers of a Ray cluster writes the bytes of one process, whatever is killed in the middle of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from local_cluster import add_node, is_running, local_cluster, within

from mmke.errors import UserError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.shards.sharded import run_sharded
from mmke.running.stream_settings import StreamSettings
from mmke.workers.ray import RayPool
from mmke.workers.settings import WorkerSettings

pytestmark = pytest.mark.slow

QUICK = {"ft-llm": {"steps": 2}, "ike-random": {"demonstrations": 2}}
STREAM = StreamSettings(tests=3, score="right,end")
SAME = ("rows.jsonl", "answers.jsonl", "cases.jsonl", "states.jsonl")
DRIVER = """
import os, signal, sys
import test_ray_runs as runs

records = []

def on_record():
    records.append(None)
    # Rows are written in evaluation order: those of the first record may come last.
    if len(records) >= 5 and any(request.out.rglob("rows.jsonl")):
        print(*(place.facts.pid for place in pool._places.values() if place.facts), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

request = runs.request(sys.argv[2], sys.argv[3])
pool = runs.pool(sys.argv[1], request)
runs.run_sharded([runs.plan(request)], pool, on_record=on_record)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with local_cluster(1, 1) as cluster:
        yield cluster


def request(data: Path | str, out: Path | str, **more: Any) -> Request:
    places = {"data": Path(data), "out": Path(out)}
    return Request("tiny-llava", tuple(QUICK), ("mmke-entity",), changes=QUICK, elsewhere=True, **places, **more)


def pool(address: str, request: Request, size: int = 2) -> RayPool:
    return RayPool(WorkerSettings(ray=address, folder=request.out), size)


@pytest.fixture
def asked(small_data: Path, tmp_path: Path) -> Request:
    return request(small_data, tmp_path / "by-ray")


@pytest.fixture(scope="module")
def by_one(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, bytes]]:
    """Return the files of one process's run; made once."""

    @cache
    def make(**more: Any) -> dict[str, bytes]:
        out = tmp_path_factory.mktemp("by-one")
        run(plan(replace(request(small_data, out, **more), elsewhere=False)))
        return files(out)

    return make


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for name in SAME for file in sorted(out.rglob(name))}


def after(records: int, happens: Callable[[], None]) -> Callable[[], None]:
    """Let something happen once, when so many records are written."""
    seen: list[None] = []

    def on_record() -> None:
        seen.append(None)
        if len(seen) == records:
            happens()

    return on_record


def kill_one(pool: RayPool) -> None:
    """Kill a worker that has a job."""
    busy = next(place for place in pool._places.values() if place.facts is not None and place.awaited is not None)
    assert busy.facts is not None
    os.kill(busy.facts.pid, signal.SIGKILL)


@pytest.mark.parametrize("records", [2, 6])
def test_a_killed_worker_changes_no_byte(cluster: Any, asked: Request, by_one: Any, records: int) -> None:
    workers = pool(cluster.address, asked)
    outcome = run_sharded([plan(asked)], workers, on_record=after(records, lambda: kill_one(workers)))
    assert outcome.problems == []
    assert files(asked.out) == by_one()


def test_streams_go_on_from_what_a_killed_worker_had_saved(cluster: Any, asked: Request, by_one: Any) -> None:
    request = replace(asked, stream=STREAM, order_seeds=(0, 1))
    workers = pool(cluster.address, request)
    floor = next(cell for cell in plan(request).cells if cell.editor.name == "none").keys
    kill = after(len(floor) + 3, lambda: kill_one(workers))
    outcome = run_sharded([plan(request)], workers, on_record=kill)
    assert outcome.problems == []
    assert files(request.out) == by_one(stream=STREAM, order_seeds=(0, 1))


def test_a_lost_machine_changes_no_byte(cluster: Any, asked: Request, by_one: Any) -> None:
    node = add_node(cluster, 1)
    workers = pool(cluster.address, asked, 3)
    lose = after(4, lambda: cluster.remove_node(node, allow_graceful=False))
    run_sharded([plan(asked)], workers, on_record=lose)
    assert files(asked.out) == by_one()


def test_a_killed_command_goes_on_where_it_was(cluster: Any, asked: Request, by_one: Any, small_data: Path) -> None:
    program = [sys.executable, "-c", DRIVER, cluster.address, str(small_data), str(asked.out)]
    path = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    ended = subprocess.run(
        program, env={**os.environ, **path}, capture_output=True, text=True, check=False, timeout=200
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    pids = [int(pid) for pid in ended.stdout.split()]
    assert pids
    within(60, lambda: not any(map(is_running, pids)))
    assert any(path.stat().st_size for path in asked.out.rglob("rows.jsonl"))
    run_sharded([plan(asked)], pool(cluster.address, asked))
    assert files(asked.out) == by_one()


def test_workers_of_another_version_compute_nothing(
    cluster: Any, asked: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.workers.facts.code_digest", lambda: "another")
    with pytest.raises(UserError, match="the files of mmke are others there"):
        run_sharded([plan(asked)], pool(cluster.address, asked))
    assert list(asked.out.rglob("rows.jsonl")) == []
