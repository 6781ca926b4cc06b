"""Where a command's workers come from: processes of this machine, or a Ray cluster."""

from contextlib import AbstractContextManager
from importlib import import_module

from mmke.errors import UserError
from mmke.workers.cards import how_many_on_cards, visible_cards
from mmke.workers.protocols import Pool
from mmke.workers.room import free_bytes, free_cores, how_many
from mmke.workers.settings import WorkerSettings


def size_of(settings: WorkerSettings, *, jobs: int, need: int) -> int:
    """Return how many workers of this machine to start; at least one, and never more than jobs.

    Args:
        settings: what the user asked for.
        jobs: how many there are.
        need: bytes of memory that one worker takes; on a GPU the GPU itself is what there is of.

    Raises:
        UserError: there is no room for as many as the user asked for.
    """
    if settings.device.startswith("cuda"):
        if settings.device != "cuda":
            raise UserError(
                f"--device {settings.device} with several workers: each has a GPU of its own; give --device cuda, and "
                "CUDA_VISIBLE_DEVICES where only some GPUs are to be used"
            )
        return how_many_on_cards(settings.count, cards=settings.cards, visible=visible_cards(), jobs=jobs)
    return how_many(settings.count, jobs=jobs, need=need, cores=free_cores(), free=free_bytes())


def open_pool(settings: WorkerSettings, *, jobs: int, need: int) -> AbstractContextManager[Pool]:
    """Return a pool; its workers start when it is entered.

    Args:
        settings: what the user asked for.
        jobs: how many there are; more workers than jobs are not started.
        need: bytes of memory that one worker takes.

    Raises:
        UserError: there is no room for as many as the user asked for; Ray was asked for and is not installed.
    """
    if settings.ray is None:
        from mmke.workers.processes import Processes

        return Processes(settings, size_of(settings, jobs=jobs, need=need))
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise UserError("--ray needs Ray, which is not installed: pip install 'mmke[ray]'") from error
    pool: AbstractContextManager[Pool] = import_module("mmke.workers.ray").RayPool(
        settings, None if settings.count is None else min(settings.count, max(jobs, 1))
    )
    return pool
