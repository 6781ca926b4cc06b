"""How many workers are started: by cores, memory, GPUs and jobs, and what a container allows of them."""

import logging
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.workers.cards import cards_of, how_many_on_cards
from mmke.workers.room import free_bytes, free_cores, how_many

GIB = 1 << 30


@pytest.mark.parametrize(
    ("count", "jobs", "cores", "free", "started"),
    [
        (None, 100, 8, 16 * GIB, 8),
        (None, 3, 8, 16 * GIB, 3),
        (None, 100, 8, 5 * GIB, 2),
        (None, 100, 8, GIB, 1),
        (None, 100, 8, None, 8),
        (None, 0, 8, 16 * GIB, 1),
        (6, 100, 8, 16 * GIB, 6),
        (6, 4, 8, 16 * GIB, 4),
        (20, 100, 8, 40 * GIB, 20),
        (1, 100, 8, GIB, 1),
    ],
)
def test_workers_are_as_many_as_there_are_cores_memory_and_jobs_for(
    count: int | None, jobs: int, cores: int, free: int | None, started: int
) -> None:
    assert how_many(count, jobs=jobs, need=lambda: 2 * GIB, cores=cores, free=free) == started


def test_fewer_than_there_are_cores_are_explained(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mmke"):
        how_many(None, jobs=100, need=lambda: 2 * GIB, cores=8, free=5 * GIB)
    assert caplog.messages == ["2 of 8 workers: each takes about 2.0 GiB of memory, and 5.0 GiB are free"]


def test_more_workers_than_memory_has_room_for_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"--workers 20: each takes about 1\.5 GiB .* 16\.0 GiB are free; give --workers 10"
    ):
        how_many(20, jobs=100, need=lambda: 3 * GIB // 2, cores=2, free=16 * GIB)


def test_each_worker_sees_its_own_cards() -> None:
    visible = ["3", "GPU-ab", "5", "7"]
    assert [cards_of(worker, 1.0, visible) for worker in range(4)] == visible
    assert [cards_of(worker, 2.0, visible) for worker in range(2)] == ["3,GPU-ab", "5,7"]
    assert [cards_of(worker, 0.5, visible) for worker in range(3)] == ["3", "3", "GPU-ab"]
    assert [cards_of(worker, 0.3, visible) for worker in range(4)] == ["3", "3", "3", "GPU-ab"]


@pytest.mark.parametrize(("count", "cards", "started"), [(None, 1.0, 4), (None, 2.0, 2), (None, 0.25, 16), (3, 1.0, 3)])
def test_workers_are_as_many_as_there_are_cards_for(count: int | None, cards: float, started: int) -> None:
    assert how_many_on_cards(count, cards=cards, visible=["0", "1", "2", "3"], jobs=100) == started


@pytest.mark.parametrize(
    ("count", "cards", "told"),
    [
        (5, 1.0, "5 workers with 1 of the GPUs each, and 4 can be seen here; give --workers 4"),
        (None, 8.0, "1 worker with 8 of the GPUs each"),
        (None, 1.5, "--cards-per-worker 1.5: give 1, a whole number"),
        (None, 0.0, "--cards-per-worker 0: give 1"),
    ],
)
def test_cards_that_are_not_there_are_refused(count: int | None, cards: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        how_many_on_cards(count, cards=cards, visible=["0", "1", "2", "3"], jobs=100)


def test_what_a_container_allows_counts(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       33554432 kB\nMemAvailable:   16777216 kB\n")
    own = tmp_path / "own"
    own.write_text("0::/job\n")
    assert free_bytes(tmp_path, own, meminfo) == 16 * GIB
    group = tmp_path / "job"
    group.mkdir()
    for name, text in {
        "cpu.max": "100000 100000",
        "memory.max": f"{4 * GIB}",
        "memory.current": f"{3 * GIB}",
        "memory.stat": f"anon 5\ninactive_file {GIB}\n",
    }.items():
        (group / name).write_text(text)
    assert free_bytes(tmp_path, own, meminfo) == 2 * GIB
    assert free_cores(tmp_path, own) == 1
    (group / "cpu.max").write_text("max 100000")
    (group / "memory.max").write_text("max")
    assert free_bytes(tmp_path, own, meminfo) == 16 * GIB
    assert free_bytes(tmp_path, own, tmp_path / "none") is None


def test_the_first_version_of_control_groups_counts_too(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemAvailable:   16777216 kB\n")
    own = tmp_path / "own"
    own.write_text("4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n")
    memory, cpu = tmp_path / "memory" / "a", tmp_path / "cpu,cpuacct"
    memory.mkdir(parents=True)
    cpu.mkdir()
    (memory / "memory.limit_in_bytes").write_text(f"{8 * GIB}\n")
    (memory / "memory.usage_in_bytes").write_text(f"{2 * GIB}\n")
    (cpu / "cpu.cfs_quota_us").write_text("150000\n")
    (cpu / "cpu.cfs_period_us").write_text("100000\n")
    assert free_bytes(tmp_path, own, meminfo) == 6 * GIB
    assert free_cores(tmp_path, own) == 1
