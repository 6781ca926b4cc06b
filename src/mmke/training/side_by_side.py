"""Several trainings side by side: each is what one worker does from its first record to its last.

In: planned trainings and a pool of workers. Out: the best checkpoint of each. A worker writes into its training's
folder itself, since nobody else does; so that folder has to be one that every worker sees. A training whose worker was
lost goes on from its last checkpoint. One that ends with a mistake does not stop the others.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from mmke.editing.trained import TrainedFor
from mmke.errors import UserError
from mmke.running.shards.records import backbone_of
from mmke.training.train import TrainingPlan, TrainRequest, facts_of, plan, records_done, train, wanted
from mmke.workers.dispatch import NotThisWorkerError, work_off
from mmke.workers.facts import refusal
from mmke.workers.problems import TRIES, Problem, why_lost
from mmke.workers.protocols import Desk, Facts, Job, Lost, Pool
from mmke.workers.signs import check_signed, signed

TOLD_EVERY = 1.0
"""Seconds between two messages of a worker that say how many records it has trained on."""

logger = logging.getLogger(__name__)


class Reached(NamedTuple):
    """A training has trained on so many records."""

    records: int


class Trained(NamedTuple):
    """A training is done; its best checkpoint lies there."""

    best: Path


class Outcome(NamedTuple):
    """The best checkpoints, in the order of the plans, without those of trainings that did not come to their end."""

    best: list[Path]
    problems: list[Problem]


@dataclass(frozen=True)
class Training:
    """One training; a `Job`.

    Attributes:
        request: what is trained.
        facts: what its checkpoints will say of themselves; a worker that would write anything else trains nothing.
        sign: name of a file in the folder of checkpoints, by which a worker sees that it is the same folder.
        tries: how many workers have been lost with it.
        needs: see `workers.protocols.Job`.
    """

    request: TrainRequest
    facts: TrainedFor
    sign: str
    tries: int = 0
    needs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Say what is trained, and for what."""
        return training_of(self.request)

    @property
    def part_of(self) -> str:
        """Return what jobs name that have to wait for the checkpoint."""
        return self.name

    def do(self, desk: Desk) -> None:
        """Train, from the last checkpoint if there is one.

        Raises:
            NotThisWorkerError: this worker would train something else, or does not see the folder.
            UserError: as `train.train` does.
        """
        request = self.request
        check_signed(request.out, self.sign, what="trainings")
        planned = plan(request, alone=True)
        self._check_same(facts_of(planned))
        backbone, _ = backbone_of(desk, wanted(request, request.device))
        desk.send(Reached(records_done(planned)))
        told = time.monotonic()

        def on_step(records: int) -> None:
            nonlocal told
            if time.monotonic() - told >= TOLD_EVERY:
                told = time.monotonic()
                desk.send(Reached(records))

        desk.send(Trained(train(planned, on_step=on_step, backbone=backbone, share=desk.neighbours)))

    def _check_same(self, here: TrainedFor) -> None:
        others = [each.name for each in fields(here) if getattr(here, each.name) != getattr(self.facts, each.name)]
        if others:
            raise NotThisWorkerError(f"for {self.name} it would train with other {', '.join(others)}")


def training_of(request: TrainRequest) -> str:
    """Return the name of a training, which says what is trained and for what."""
    return f"{request.editor} for {request.backbone} on {' and '.join(request.benchmarks)}, below {request.out}"


def train_side_by_side(
    plans: Sequence[TrainingPlan],
    pool: AbstractContextManager[Pool],
    *,
    on_records: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Let workers train.

    Args:
        plans: of trainings, each with a folder of its own.
        pool: not yet entered.
        on_records: called with the number of records that all of them have trained on; a training that early stopping
            has ended counts with all its records.

    Raises:
        UserError: two trainings have the same folder, or no worker is left.
    """
    twice = [each.folder for each in plans if [other.folder for other in plans].count(each.folder) > 1]
    if twice:
        raise UserError(f"two trainings would write into {twice[0]}; name each editor and each benchmark once")
    with ExitStack() as signs:
        sign = {out: signs.enter_context(signed(out)) for out in {each.request.out for each in plans}}
        jobs = [
            Training(replace(each.request, elsewhere=False), facts_of(each), sign[each.request.out]) for each in plans
        ]
        owner = Trainings(dict(zip([job.name for job in jobs], plans, strict=True)), on_records)
        with pool as workers:
            work_off(workers, jobs, owner)
    return Outcome([owner.best[job.name] for job in jobs if job.name in owner.best], owner.problems)


class Trainings:
    """The owner of such jobs: counts records, and decides what becomes of a training that ended early.

    Attributes:
        best: the best checkpoint of each training that has come to its end, by the training's name.
        problems: the trainings that have not.
    """

    def __init__(self, plans: dict[str, TrainingPlan], on_records: Callable[[int], None]) -> None:
        """Take the plans by the names of their jobs."""
        self.best: dict[str, Path] = {}
        self.problems: list[Problem] = []
        self._plans, self._on_records = plans, on_records
        self._reached = {name: records_done(planned) for name, planned in plans.items()}

    def refuses(self, facts: Facts) -> str | None:
        """Refuse a worker of another version: its checkpoints could be others."""
        return refusal(facts)

    def take(self, job: Job, content: Any) -> None:
        """Count records, or keep where the best checkpoint lies."""
        match content:
            case Reached(records):
                self._reached[job.name] = records
            case Trained(best):
                self.best[job.name] = best
                self._reached[job.name] = self._plans[job.name].records
                logger.info("trained %s", job.name)
        self._on_records(sum(self._reached.values()))

    def done(self, job: Job) -> None:
        """Do nothing more: its best checkpoint has been told."""

    def failed(self, job: Job, error: Exception, trace: str) -> Sequence[Job]:
        """Name a training that ended with an error, and let the others go on."""
        if not isinstance(error, UserError):
            logger.warning("%s ended with an error:\n%s", job.name, trace)
        return self._leave_out(job, str(error))

    def lost(self, job: Job, lost: Lost) -> Sequence[Job]:
        """Go on with a training from its last checkpoint, or leave it out when that was tried too often."""
        if not isinstance(job, Training):
            raise TypeError(f"{job!r} is no training")
        tries = job.tries + 1
        if tries < TRIES:
            return [replace(job, tries=tries)]
        return self._leave_out(job, why_lost(tries, lost))

    def _leave_out(self, job: Job, why: str) -> Sequence[Job]:
        self.problems.append(Problem(job.name, why))
        logger.warning("%s", self.problems[-1])
        return []
