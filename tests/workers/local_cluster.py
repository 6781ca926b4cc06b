"""A Ray cluster of several nodes on this machine, for tests; nothing of it is left when it ends."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

# Before Ray is imported. Otherwise Ray would leave a token in the user's home.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="of-tests" * 8)


@contextmanager
def local_cluster(*cores: int) -> Iterator[Any]:
    """Start a node for each number of cores; the first one is the head, to which the test connects."""
    from ray.cluster_utils import Cluster

    with (
        # A short name: a socket's path has at most 107 bytes.
        tempfile.TemporaryDirectory(prefix="mmke-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("RAY_TMPDIR", folder)
        Path(folder, "ray").mkdir()
        cluster = Cluster()
        try:
            for number in cores:
                add_node(cluster, number)
            yield cluster
        finally:
            cluster.shutdown()
            # Another process that tests has a cluster of its own: only what writes into this one's folder must end.
            within(60, lambda: not any(_writes_into(folder, process) for process in psutil.process_iter()))


def add_node(cluster: Any, cores: int) -> Any:
    return cluster.add_node(**_node(cores))


def within(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.2)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _node(cores: int, **more: Any) -> dict[str, Any]:
    return {"num_cpus": cores, "num_gpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20, **more}


def _writes_into(folder: str, process: psutil.Process) -> bool:
    if process.pid == os.getpid():  # Ray keeps the log of a process that was connected
        return False
    try:
        return any(file.path.startswith(folder) for file in process.open_files())
    except psutil.Error:  # it has ended, or it is of another user
        return False


def log_folder(out: Path) -> list[Path]:
    return list((out / ".workers").glob("*")) if (out / ".workers").exists() else []
