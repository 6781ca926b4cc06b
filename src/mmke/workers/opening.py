"""Where a command's workers come from: processes of this machine, or a Ray cluster."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec

from mmke.errors import UserError
from mmke.workers.cards import how_many_on_cards, visible_cards
from mmke.workers.protocols import Pool
from mmke.workers.room import free_bytes, free_cores, how_many
from mmke.workers.settings import WorkerSettings


def size_of(settings: WorkerSettings, *, jobs: int, need: Callable[[], int]) -> int | None:
    """Return how many workers to start, at least one and never more than jobs; None: the cluster decides.

    Args:
        settings: what the user asked for.
        jobs: how many there are.
        need: returns the bytes of memory that one worker takes; called where more than one is wanted on processors of
            this machine. Of GPUs their number is enough.

    Raises:
        UserError: there is no room for as many as the user asked for.
    """
    if settings.elsewhere:
        return None if settings.count is None else min(settings.count, max(jobs, 1))
    if settings.count == 1:
        return 1
    if settings.device.startswith("cuda"):
        return how_many_on_cards(settings.count, cards=settings.cards, visible=visible_cards(), jobs=jobs)
    return how_many(settings.count, jobs=jobs, need=need, cores=free_cores(), free=free_bytes())


def open_pool(settings: WorkerSettings, size: int | None, *, most: int | None = None) -> AbstractContextManager[Pool]:
    """Return a pool; its workers start when it is entered.

    Args:
        settings: what the user asked for.
        size: how many workers, by `size_of`.
        most: where a cluster decides, more than so many are of no use.

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
