"""Train in this process, one training after the other, or by as many workers as were asked for and have room.

In: planned trainings and what the user said of workers. Out: the same checkpoints, and what did not come to its end.
"""

import logging
from collections.abc import Callable, Sequence

from mmke.errors import UserError
from mmke.running.by_workers import bytes_of
from mmke.running.loading import Loaded
from mmke.training.side_by_side import Outcome, train_side_by_side, training_of
from mmke.training.train import TrainingPlan, train, wanted
from mmke.workers.opening import pool_for
from mmke.workers.problems import Problem
from mmke.workers.settings import WorkerSettings

NETWORKS = 1 << 30
"""Bytes of an editor's networks with their gradients, their optimizer and what is kept of the records."""

logger = logging.getLogger(__name__)


def train_by(
    plans: Sequence[TrainingPlan], settings: WorkerSettings, *, on_records: Callable[[int], None] = lambda _: None
) -> Outcome:
    """Train.

    Args:
        plans: of trainings, each with a folder of its own.
        settings: what the user said of workers.
        on_records: called with the number of records that all of them have trained on.

    Raises:
        UserError: there is a single training and it cannot be done; or see `pool_for` and `train_side_by_side`.
    """
    if settings.ray is None and len(plans) == 1:
        if (settings.count or 1) > 1:
            logger.info("one training is done by one worker; several processes share its steps by accelerate launch")
        return Outcome([train(plans[0], on_step=on_records)], [])
    if any(planned.processes.count > 1 for planned in plans):
        raise UserError(
            f"{len(plans)} trainings in processes that share their steps; train one at a time in these, or start one "
            "process, with --workers N"
        )
    skeletons = [planned.skeleton for planned in plans]
    pool = pool_for(settings, jobs=len(plans), need=lambda: NETWORKS + max(map(bytes_of, skeletons)))
    if pool is None:
        return _one_by_one(plans, on_records)
    return train_side_by_side(plans, pool, on_records=on_records)


def _one_by_one(plans: Sequence[TrainingPlan], on_records: Callable[[int], None]) -> Outcome:
    """Train in this process; a training that ends with a mistake does not stop the others."""
    outcome, before, loaded = Outcome([], []), 0, Loaded()

    def on_step(done: int) -> None:
        on_records(before + done)

    for planned in plans:
        try:
            backbone = loaded.of(wanted(planned.request, planned.processes.device))
            outcome.best.append(train(planned, on_step=on_step, backbone=backbone))
        except UserError as error:
            outcome.problems.append(Problem(training_of(planned.request), str(error)))
            logger.warning("%s", outcome.problems[-1])
        before += planned.records
        on_records(before)
    return outcome
