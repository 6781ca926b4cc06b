"""Do what a grid asks for: the trainings first, each from where it was, then all runs.

In: what `checks.py` found. Out: the folders of results, and what was left out. Everything goes on from where an
earlier start ended: a training from its last checkpoint, a run from its last record; what is finished is passed over.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.grid.checks import Checked, key_of_editor, with_checkpoints, with_editors, without
from mmke.grid.expand import Run
from mmke.grid.problems import Problem
from mmke.grid.trainings import Key, text_of
from mmke.protocols import Backbone
from mmke.results.folder import run_path
from mmke.running import planning
from mmke.running.loading import load
from mmke.running.planning import Plan, run_settings
from mmke.running.request import Request
from mmke.running.run import is_finished, run
from mmke.training.train import TrainingPlan, train

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What was done: the folders of all cells, and what was left out."""

    folders: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def train_all(
    checked: Checked, *, keep_going: bool = False, on_records: Callable[[int], None] = lambda _: None
) -> list[Problem]:
    """Do the trainings that come first; their checkpoints are then among the others.

    Args:
        checked: what can be done; it is brought up to date.
        keep_going: whether others go on when one ends with a mistake.
        on_records: called with the number of records that all of them have trained on.

    Returns:
        The cells that have no checkpoint, and why.

    Raises:
        UserError: a training ended with a mistake, and `keep_going` is False.
    """
    failed: dict[Key | None, str] = {}
    before = 0
    for key, planned in list(checked.trainings.items()):
        try:
            checked.checkpoints[key] = _train(planned, before, on_records)
        except UserError as error:
            if not keep_going:
                raise
            logger.warning("left out: %s: %s", text_of(planned.request), error)
            failed[key] = str(error)
        before += planned.records
        on_records(before)
    checked.trainings.clear()
    return [problem for each in checked.runs for problem in without(each, failed)]


def _train(planned: TrainingPlan, before: int, on_records: Callable[[int], None]) -> Path:
    logger.info("%s", text_of(planned.request))
    return train(planned, on_step=lambda done: on_records(before + done))


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
    *,
    keep_going: bool = False,
    command: Sequence[str] = (),
    on_record: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run plans in this process, one after the other; a backbone is loaded once for all its neighbours.

    Args:
        plans: resolved.
        keep_going: whether others go on when one ends with a mistake.
        command: the command line, for run.json.
        on_record: called once for every record of every cell, also for those that were finished before.

    Raises:
        UserError: a run ended with a mistake, and `keep_going` is False.
        ChangedBackboneError: an editor has changed the backbone.
    """
    outcome, loaded = Outcome(), _Loaded()
    for planned in plans:
        try:
            done = _finished(planned)
            if done is None:
                backbone = loaded.of(planned.request)
                done = run(planned, command=command, on_record=on_record, backbone=backbone)
            else:
                for _ in range(planned.records):
                    on_record()
            outcome.folders += done
        except UserError as error:
            if not keep_going:
                raise
            logger.warning("left out: %s", error)
            outcome.problems.append(Problem(tuple(_cells(planned)), str(error)))
    return outcome


def _finished(planned: Plan) -> list[Path] | None:
    """Return the folders of a plan that is finished; None where something is left."""
    skeleton = load(planned.request, skeleton=True)
    request = planned.request
    paths = [run_path(request.out, run_settings(request, cell, skeleton)) for cell in planned.cells]
    done = all(is_finished(path, cell) for path, cell in zip(paths, planned.cells, strict=True))
    return paths if done else None


def _cells(planned: Plan) -> Any:
    request = planned.request
    stream = 0 if request.stream is None else 1
    return Run(request, {}, stream).cells()


class _Loaded:
    """The backbone that was loaded last; it is let go before another is loaded."""

    def __init__(self) -> None:
        self._wanted: tuple[Any, ...] | None = None
        self._backbone: Backbone | None = None

    def of(self, request: Request) -> Backbone:
        wanted = (request.backbone, request.dtype, request.device, request.weights)
        if self._backbone is None or wanted != self._wanted:
            self._backbone = None
            self._backbone, self._wanted = load(request), wanted
        return self._backbone
