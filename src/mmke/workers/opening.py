"""Where a command's workers come from: processes of this machine, or a Ray cluster."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec

from mmke.errors import UserError
from mmke.workers.cards import how_many_on_cards, visible_cards
from mmke.workers.protocols import Pool
from mmke.workers.room import free_bytes, free_cores, how_many
from mmke.workers.settings import WorkerSettings

logger = logging.getLogger(__name__)


def pool_for(settings: WorkerSettings, *, jobs: int, need: Callable[[], int]) -> AbstractContextManager[Pool] | None:
    """Return workers for some jobs; None where this process does them: it was asked to, or there is room for no other.

    Args:
        settings: what the user asked for.
        jobs: how many there are.
        need: returns the bytes of memory that one worker takes; called where more than one is wanted on processors of
            this machine. Of GPUs their number is enough.

    Raises:
        UserError: there is no room for as many as the user asked for; Ray was asked for and is not installed; the
            device is one of several GPUs.
    """
    if not jobs or (settings.ray is None and settings.count == 1):
        return None
    size = _size_of(settings, jobs, need)
    if settings.ray is None and size == 1:
        return None
    logger.info("%s", "on a Ray cluster" if settings.ray is not None else f"{size} workers")
    return open_pool(settings, size, most=jobs)


def _size_of(settings: WorkerSettings, jobs: int, need: Callable[[], int]) -> int | None:
    """Return how many workers to start, at least one and never more than jobs; None: the cluster decides."""
    if settings.elsewhere:
        return None if settings.count is None else min(settings.count, max(jobs, 1))
    if settings.count == 1:
        return 1
    if settings.device.startswith("cuda"):
        return how_many_on_cards(settings.count, cards=settings.cards, visible=visible_cards(), jobs=jobs)
    return how_many(settings.count, jobs=jobs, need=need, cores=free_cores(), free=free_bytes())


def open_pool(settings: WorkerSettings, size: int | None, *, most: int | None = None) -> AbstractContextManager[Pool]:
    """Return a pool, whose workers start when it is entered.

    Args:
        settings: what the user asked for.
        size: how many workers; None: the cluster decides.
        most: where it decides, more than so many are of no use.

    Raises:
        UserError: Ray was asked for and is not installed; the device is one of several GPUs.
    """
    if settings.device not in ("cpu", "cuda"):
        raise UserError(
            f"--device {settings.device} with several workers: each has a GPU of its own; give --device cuda, and "
            "CUDA_VISIBLE_DEVICES where only some GPUs are to be used"
        )
    if settings.ray is None:
        from mmke.workers.processes import Processes

        return Processes(settings, size or 1)
    if find_spec("ray") is None:
        raise UserError("--ray needs Ray, which is not installed: pip install 'mmke[ray]'")
    pool: AbstractContextManager[Pool] = import_module("mmke.workers.ray").RayPool(settings, size, most=most)
    return pool
