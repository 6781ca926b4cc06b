"""By whom a grid is done: this process, or workers; and the backbone that this process keeps for the next part."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from mmke.protocols import Backbone
from mmke.running.by_workers import PROCESS
from mmke.running.loading import load
from mmke.running.request import Request
from mmke.training.train import TrainingPlan
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


def need_of_training(planned: TrainingPlan) -> int:
    """Return about how many bytes of memory a worker takes that trains on a processor."""
    module = planned.skeleton.module
    return PROCESS + sum(each.numel() * each.element_size() for each in (*module.parameters(), *module.buffers()))


class Loaded:
    """The backbone that was loaded last; it is let go before another is loaded."""

    def __init__(self) -> None:
        """Begin with none."""
        self._wanted: tuple[Any, ...] | None = None
        self._backbone: Backbone | None = None

    def of(self, request: Request) -> Backbone:
        """Return a request's backbone."""
        wanted = (request.backbone, request.dtype, request.device, request.weights)
        if self._backbone is None or wanted != self._wanted:
            self._backbone = None
            self._backbone, self._wanted = load(request), wanted
        return self._backbone
