"""By whom the runs of a grid are done: this process, or workers."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from mmke.workers.opening import open_pool, size_of
from mmke.workers.protocols import Pool
from mmke.workers.settings import WorkerSettings

ALONE = WorkerSettings(count=1)
"""This process does everything."""

logger = logging.getLogger(__name__)


def pool_for(settings: WorkerSettings, *, jobs: int, need: Callable[[], int]) -> AbstractContextManager[Pool] | None:
    """Return workers for so many jobs; None where this process does them.

    Raises:
        UserError: there is no room for as many as were asked for.
    """
    if not jobs or (settings.ray is None and settings.count == 1):
        return None
    size = size_of(settings, jobs=jobs, need=need)
    if settings.ray is None and size == 1:
        return None
    logger.info("%s", "on a Ray cluster" if settings.ray is not None else f"{size} workers")
    return open_pool(settings, size, most=jobs)
