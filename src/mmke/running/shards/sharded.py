"""A run by several workers: what `running.run.run` does in one process.

In: plans and a pool of workers. Out: the folders of their cells, with the same bytes. Single edits, and the floor of
streams, are divided into blocks of records; this process writes what comes back, in evaluation order. Each stream is
done by one worker. A block that ends a worker, or does not fit its memory, is divided until the record and the editor
are found that do it; these are left out and named, and all others go on.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmke.errors import BrokenPluginError, TooLittleMemoryError, UserError
from mmke.results.folder import set_aside
from mmke.results.rows import RecordKey
from mmke.running.execution import ChangedBackboneError
from mmke.running.loading import Loaded
from mmke.running.planning import Plan
from mmke.running.request import FLOOR
from mmke.running.shards.outcome import Outcome
from mmke.running.shards.records import Finished, Records, Void
from mmke.running.shards.share import Share
from mmke.running.shards.streams import Scored, Streamed
from mmke.types import ScoreRow
from mmke.workers.dispatch import work_off
from mmke.workers.facts import refusal
from mmke.workers.problems import TRIES, Problem, why_lost
from mmke.workers.protocols import Facts, Job, Lost, Pool

MOST_PROBLEMS = 20
"""A run in which more is left out than this ends: then it is no single record that is at fault."""

logger = logging.getLogger(__name__)


def run_sharded(
    plans: Sequence[Plan],
    pool: AbstractContextManager[Pool],
    *,
    command: Sequence[str] = (),
    on_record: Callable[[], None] = lambda: None,
    threads: int = 1,
    skeletons: Loaded | None = None,
) -> Outcome:
    """Let workers work through plans.

    Args:
        plans: resolved requests; their cells are in folders of their own.
        pool: not yet entered.
        command: the command line, for run.json.
        on_record: called once for every record of every cell, also for those that were finished before.
        threads: of each worker.
        skeletons: see `run.check_sites`; plans with the same backbone share one.

    Raises:
        UserError: a folder holds a run with other settings or is being written by another program, no worker is left,
            or too much would be left out.
        ChangedBackboneError: an editor has changed the backbone.
    """
    skeletons = skeletons or Loaded(skeleton=True)
    shares = [Share.of(planned, skeletons, command=command, threads=threads) for planned in plans]
    for _ in range(sum(share.planned.records - share.left() for share in shares)):
        on_record()
    run = _Run(shares, on_record)
    try:
        jobs = list(_jobs(shares))
        if jobs:
            with pool as workers:
                work_off(workers, jobs, run)
    finally:
        for share in shares:
            share.close()
    return Outcome([share.path(cell) for share in shares for cell in share.planned.cells], run.problems)


def _jobs(shares: Sequence[Share]) -> Iterator[Job]:
    behind = sum(share.cases for share in shares)
    for share in shares:
        behind -= share.cases
        yield from share.jobs(behind=behind)


class _Run:
    """The owner of the jobs: takes what workers send, and decides what becomes of a job that ended early."""

    def __init__(self, shares: Sequence[Share], on_record: Callable[[], None]) -> None:
        self.shares = shares
        self.on_record = on_record
        self.problems: list[Problem] = []
        self._finished: dict[int, tuple[set[tuple[int, RecordKey]], list[ScoreRow]]] = {}
        self._void: set[Path] = set()

    def refuses(self, facts: Facts) -> str | None:
        """Refuse a worker of another version, or with another device: its rows could be others."""
        return refusal(facts) or next(filter(None, (share.refuses(facts) for share in self.shares)), None)

    def take(self, job: Job, content: Any) -> None:
        """Write a record, or count one that a stream has written."""
        share = self._share(job)
        match content:
            case Finished():
                share.take(content)
                keys, floor = self._finished.setdefault(id(job), (set(), []))
                keys.add((content.cell, content.key))
                if share.planned.cells[content.cell].editor.name == FLOOR:
                    floor += content.rows
                self.on_record()
            case Scored(cell, records):
                self._count(share, cell, records)
            case Void(cell):
                self._void.add(share.path(share.planned.cells[cell]))

    def _count(self, share: Share, cell: int, records: int) -> None:
        """Count what a stream has written since it was heard of last; a worker that was lost may not have told all."""
        known = share.written[cell]
        for _ in range(known, records):
            self.on_record()
        share.written[cell] = max(known, records)

    def done(self, job: Job) -> None:
        """Forget what was kept of a job."""
        self._finished.pop(id(job), None)

    def failed(self, job: Job, error: Exception, trace: str) -> Sequence[Job]:
        """Divide a block that ended with an error, or leave out what cannot be divided.

        Raises:
            UserError: a mistake that every other record would meet too.
            ChangedBackboneError: an editor has changed the backbone; what it wrote is set aside.
        """
        if isinstance(error, ChangedBackboneError):
            self._share(job).close()
            for path in self._void:
                set_aside(path)
            where = " and ".join(f"{path}/*.void" for path in sorted(self._void))
            raise ChangedBackboneError(f"{error}; what was written is void and set aside as {where}") from error
        if isinstance(error, UserError) and not isinstance(error, TooLittleMemoryError | BrokenPluginError):
            raise error
        if not isinstance(error, UserError):
            logger.warning("%s ended with an error:\n%s", job.name, trace)
        return self._rest(job, str(error), tries=TRIES)

    def lost(self, job: Job, lost: Lost) -> Sequence[Job]:
        """Try again what is left of a job, in smaller parts; leave out what has been tried too often."""
        tries = _of_a_run(job).tries + 1
        return self._rest(job, why_lost(tries, lost), tries=tries)

    def _rest(self, job: Job, why: str, *, tries: int) -> list[Job]:
        ours = _of_a_run(job)
        if isinstance(ours, Streamed):
            return [replace(ours, tries=tries)] if tries < TRIES else self._leave_out(ours, why)
        rest = ours.without(*self._finished.pop(id(job), (set(), [])))
        if rest is None:
            return []
        parts = [replace(part, tries=0 if tries == TRIES else tries) for part in rest.divided()]
        if len(parts) > 1:
            return list(parts)
        return [replace(rest, tries=tries)] if tries < TRIES else self._leave_out(rest, why)

    def _leave_out(self, job: Records | Streamed, why: str) -> list[Job]:
        """Name what is left out, and let the records behind it be written.

        Raises:
            UserError: it is too much.
        """
        self.problems.append(Problem(f"{job.name} ({self._editors(job)})", why))
        if isinstance(job, Records):
            share = self._share(job)
            for part in job.parts:
                for key in part.left:
                    share.give_up(part.cell, key)
        logger.warning("%s", self.problems[-1])
        if len(self.problems) > MOST_PROBLEMS:
            raise UserError(f"{len(self.problems)} parts of the run were left out, the last one: {why}")
        return []

    def _editors(self, job: Records | Streamed) -> str:
        if isinstance(job, Streamed):
            return job.editor
        return ", ".join(self._share(job).planned.cells[part.cell].editor.name for part in job.parts)

    def _share(self, job: Job) -> Share:
        return next(share for share in self.shares if share.request is _of_a_run(job).request)


def _of_a_run(job: Job) -> Records | Streamed:
    if not isinstance(job, Records | Streamed):
        raise TypeError(f"{job!r} is no job of a run")
    return job
