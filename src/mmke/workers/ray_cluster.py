"""A Ray cluster: one of this machine, started for the command and ended with it, or one that is there already.

In: the settings. Out: a process that is connected, and how many workers the cluster has room for.
"""

import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.threads import VARIABLES
from mmke.workers.settings import HERE, WorkerSettings

STORE = 256 * 2**20
"""Bytes of memory that Ray may take for what is on its way between processes: rows are small."""
START = "start a cluster with `ray start --head`, and give the command on one of its machines"
PASSED_ON = ("HF_", "MMKE_", "CUBLAS_", "TOKENIZERS_")
"""Beginnings of the names of environment variables that workers take from the process that asks."""


@contextmanager
def connected(settings: WorkerSettings, size: int | None) -> Iterator[None]:
    """Connect this process to the cluster that the user named, or start one; end what was started.

    Args:
        settings: with the cluster's address, or `HERE`.
        size: how many workers there will be; None: not known yet.

    Raises:
        UserError: Ray is not installed, there is no such cluster, or it is of another version.
    """
    # Ray would report to its makers which of its parts are used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would let every other process of the machine go before its workers, and a GPU would wait for its kernels.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray needs Ray, which is not installed: pip install 'mmke[ray]'") from error
    _be_quiet()
    here = settings.ray == HERE
    if not here and "://" in str(settings.ray):
        raise UserError(
            f"--ray {settings.ray} is the address of a client's server; give the command on a machine of the cluster, "
            "with --ray auto (from outside: ray job submit -- mmke run … --ray auto)"
        )
    try:
        with _started(settings, size) if here else _joined(str(settings.ray)):
            yield
    finally:
        # What is computed there ends with the connection; what was started for it ends too.
        ray.shutdown()


def workers_on(node: Mapping[str, Any], settings: WorkerSettings) -> int:
    """Return how many workers a machine of the cluster has room for; `node` is one of `ray.nodes()`."""
    if not node["Alive"]:
        return 0
    has = node["Resources"]
    if not settings.device.startswith("cuda"):
        return int(has.get("CPU", 0) // settings.threads)
    if settings.cards < 1:
        return int(has.get("GPU", 0)) * int(1 / settings.cards + 1e-9)  # 1 / 0.1 can be a little less than ten
    return int(has.get("GPU", 0) // settings.cards)


def room(settings: WorkerSettings) -> int:
    """Return how many workers the machines of the cluster have room for."""
    import ray

    return sum(workers_on(node, settings) for node in ray.nodes())


def resources(settings: WorkerSettings) -> Mapping[str, int | float]:
    """Return what Ray is to reserve for a worker."""
    if settings.device.startswith("cuda"):
        return {"num_gpus": settings.cards, "num_cpus": 0}
    return {"num_gpus": 0, "num_cpus": settings.threads}


def environment(settings: WorkerSettings) -> dict[str, str]:
    """Return the environment variables of workers, on whatever machine they are."""
    # Ray would set the first of these to the cores that it reserves, and rows on a processor change with the threads.
    threads = dict.fromkeys(VARIABLES, str(settings.threads))
    ours = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    installed = (Path(sys.prefix), Path(sys.base_prefix))
    paths = [Path(path or ".").absolute() for path in sys.path]
    # What an interpreter finds by itself is left out: it may lie elsewhere there.
    added = [str(path) for path in paths if path.exists() and not any(path.is_relative_to(each) for each in installed)]
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}
    return {**ours, **threads, **quiet, "PYTHONPATH": os.pathsep.join(dict.fromkeys(added))}


@contextmanager
def _started(settings: WorkerSettings, size: int | None) -> Iterator[None]:
    import ray

    on_cards = settings.device.startswith("cuda")
    # A folder of its own, with a short name: a socket's path has at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="mmke-", dir="/tmp" if Path("/tmp").is_dir() else None)  # noqa: S108
    try:
        ray.init(
            address="local",
            num_cpus=None if size is None or on_cards else size * settings.threads,
            num_gpus=None if on_cards else 0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=STORE,
            _temp_dir=folder,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _joined(address: str) -> Iterator[None]:
    import ray

    if address != "auto":
        _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, AssertionError, OSError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"--ray {address}: {told[:300]}; {START}") from error
    yield


def _check_answers(address: str) -> None:
    """Refuse an address at which nothing answers: Ray itself would try for minutes.

    Raises:
        UserError: it is no address, or nothing answers there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--ray {address}: give HOST:PORT of the cluster's head, or auto on a machine of the cluster")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(f"--ray {address}: nothing answers there ({error}); {START}") from error


def _be_quiet() -> None:
    """Keep Ray's own messages from the output; what matters of them comes as an event of the pool."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    with suppress(AttributeError):
        # That a process has died, Ray prints among the results.
        ray._private.worker._worker_logs_enabled = False  # noqa: SLF001 - there is no public way
