"""Do what a grid asks for: the trainings first, each from where it was, then all runs.

In: what `checks.py` found. Out: the folders of results, and what was left out. Everything goes on from where an
earlier start ended: a training from its last checkpoint, a run from its last record; what is finished is passed over.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmke.editing.trained import BEST
from mmke.errors import UserError
from mmke.grid.checks import Checked, key_of_editor, with_checkpoints, with_editors, without
from mmke.grid.expand import Cell, Run
from mmke.grid.problems import Lacking
from mmke.grid.trainings import Key, text_of
from mmke.results.places import run_path
from mmke.running import planning
from mmke.running.by_workers import jobs_of, need_of
from mmke.running.loading import Loaded
from mmke.running.planning import Plan
from mmke.running.run import is_finished, run
from mmke.running.shards.outcome import Outcome as Sharded
from mmke.running.shards.sharded import run_sharded
from mmke.running.stated import run_settings
from mmke.running.written_plan import announce
from mmke.training.by_workers import train_by
from mmke.training.side_by_side import training_of
from mmke.training.train import TrainingPlan
from mmke.workers.opening import pool_for
from mmke.workers.settings import ALONE, WorkerSettings

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What was done: the folders of all cells, and what was left out."""

    folders: list[Path] = field(default_factory=list)
    problems: list[Lacking] = field(default_factory=list)


def announce_all(checked: Checked) -> None:
    """Write which cells there will be, so that `mmke status` shows also those that wait for trainings and other runs.

    Raises:
        UserError: the results folder cannot be written to.
    """
    for planned in checked.looked_at:
        announce(planned, checked.skeletons.of(planned.request))


def train_all(
    checked: Checked,
    workers: WorkerSettings = ALONE,
    *,
    keep_going: bool = False,
    on_records: Callable[[int], None] = lambda _: None,
) -> list[Lacking]:
    """Do the trainings that come first; their checkpoints are then among the others.

    Args:
        checked: what can be done; it is brought up to date.
        workers: by which trainings are done side by side.
        keep_going: whether the runs go on without those that ended with a mistake; the other trainings do in any case.
        on_records: called with the number of records that all of them have trained on.

    Returns:
        The cells that have no checkpoint, and why.

    Raises:
        UserError: trainings ended with a mistake, and `keep_going` is False.
    """
    failed: dict[Key | None, str] = {}
    reasons = _train(list(checked.trainings.values()), workers, on_records)
    for key, planned in checked.trainings.items():
        name = training_of(planned.request)
        if name in reasons:
            failed[key] = f"{text_of(planned.request)}: {reasons[name]}"
        else:
            checked.checkpoints[key] = planned.folder / BEST
    if failed and not keep_going:
        raise UserError("\n".join(failed.values()))
    checked.trainings.clear()
    return [problem for each in checked.runs for problem in without(each, failed)]


def _train(
    plans: Sequence[TrainingPlan], workers: WorkerSettings, on_records: Callable[[int], None]
) -> Mapping[str, str]:
    """Train, and return why some trainings did not come to their end, by their names."""
    try:
        outcome = train_by(plans, workers, on_records=on_records)
    except UserError as error:
        if len(plans) > 1:
            raise
        return {training_of(plans[0].request): str(error)}
    return {problem.what: problem.why for problem in outcome.problems}


def plans_of(checked: Checked) -> list[Plan]:
    """Return the plan of each run, with the checkpoints that are there now; editors that have none are left out."""
    found = []
    for number, each in enumerate(checked.runs):
        kept = _trained(each, checked)
        if kept is not None:
            planned = checked.plans.get(number)
            found.append(planned or planning.plan(with_checkpoints(kept, checked.checkpoints)))
    return found


def _trained(run: Run, checked: Checked) -> Run | None:
    """Return a run with the editors whose trainings are done; None where none is left of those that it had."""
    lacking = [name for name in run.trainings if key_of_editor(run, name) not in checked.checkpoints]
    kept = [name for name in run.editors if name not in lacking]
    return with_editors(run, kept) if kept or not run.editors else None


def run_all(
    plans: Sequence[Plan],
    workers: WorkerSettings = ALONE,
    *,
    keep_going: bool = False,
    command: Sequence[str] = (),
    on_record: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run plans: in this process one after the other, or by workers, which go from one to the next without waiting.

    Args:
        plans: resolved.
        workers: by which they are run.
        keep_going: whether others go on when one ends with a mistake.
        command: the command line, for run.json.
        on_record: called once for every record of every cell, also for those that were finished before.

    Raises:
        UserError: a run ended with a mistake, and `keep_going` is False.
        ChangedBackboneError: an editor has changed the backbone.
    """
    outcome, left, skeletons = Outcome(), [], Loaded(skeleton=True)
    for planned in plans:
        done = _finished(planned, skeletons)
        outcome.folders += done or []
        if done is None:
            left.append(planned)
        else:
            for _ in range(planned.records):
                on_record()
    pool = pool_for(
        workers, jobs=sum(map(jobs_of, left)), need=lambda: max(need_of(planned, skeletons) for planned in left)
    )
    if pool is None:
        _run_here(left, outcome, skeletons, keep_going=keep_going, command=command, on_record=on_record)
        return outcome
    try:
        found = run_sharded(
            left, pool, command=command, on_record=on_record, threads=workers.threads, skeletons=skeletons
        )
    except UserError as error:
        if not keep_going:
            raise
        if len(left) > 1:
            return _one_by_one(left, workers, outcome, command=command)
        outcome.problems.append(Lacking(tuple(_cells(left[0])), str(error)))
        return outcome
    return _with(outcome, found)


def _one_by_one(plans: Sequence[Plan], workers: WorkerSettings, outcome: Outcome, *, command: Sequence[str]) -> Outcome:
    """Run plans one after the other when one of them has ended the others; what is finished is passed over."""
    for planned in plans:
        found = run_all([planned], workers, keep_going=True, command=command)
        outcome.folders += found.folders
        outcome.problems += found.problems
    return outcome


def _with(outcome: Outcome, found: Sharded) -> Outcome:
    outcome.folders += found.folders
    outcome.problems += [Lacking((), problem.why, problem.what) for problem in found.problems]
    return outcome


def _run_here(
    plans: Sequence[Plan],
    outcome: Outcome,
    skeletons: Loaded,
    *,
    keep_going: bool,
    command: Sequence[str],
    on_record: Callable[[], None],
) -> None:
    loaded = Loaded()
    for planned in plans:
        try:
            backbone = loaded.of(planned.request)
            outcome.folders += run(
                planned, command=command, on_record=on_record, backbone=backbone, skeletons=skeletons
            )
        except UserError as error:
            if not keep_going:
                raise
            logger.warning("left out: %s", error)
            outcome.problems.append(Lacking(tuple(_cells(planned)), str(error)))


def _finished(planned: Plan, skeletons: Loaded) -> list[Path] | None:
    """Return the folders of a plan that is finished; None where something is left."""
    skeleton, request = skeletons.of(planned.request), planned.request
    paths = [run_path(request.out, run_settings(request, cell, skeleton)) for cell in planned.cells]
    done = all(is_finished(path, cell) for path, cell in zip(paths, planned.cells, strict=True))
    return paths if done else None


def _cells(planned: Plan) -> Iterator[Cell]:
    return Run(planned.request, {}, 0 if planned.request.stream is None else 1).cells()
