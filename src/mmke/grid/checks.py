"""Everything that stops a cell is found before anything runs, and told in one list.

In: the runs of a grid. Out: what can be done (trainings that are resolved, runs without the editors that cannot be
made), and what cannot. No weights are read: trainings and runs are planned, and looked at on the backbone's skeleton.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmke.errors import UserError
from mmke.grid.expand import Run
from mmke.grid.problems import Lacking
from mmke.grid.trainings import Key, checkpoint_of, key_of, text_of
from mmke.running import planning
from mmke.running.devices import resolve_device
from mmke.running.loading import Loaded
from mmke.running.planning import Plan
from mmke.running.request import FLOOR, Request
from mmke.running.run import check_sites
from mmke.training import train
from mmke.training.train import TrainingPlan, TrainRequest


@dataclass
class Checked:
    """What of a grid can be done, and what cannot.

    Attributes:
        runs: with the editors that can be made; a run of which nothing can be made is not among them.
        trainings: those that come first, by key.
        checkpoints: those that are there, by key.
        plans: of the runs that wait for no training, by the place of the run in `runs`.
        problems: what cannot be made.
        looked_at: a plan of every cell that can be made; those that wait for trainings have no checkpoint there.
        skeletons: the backbones on which it was looked.
    """

    runs: list[Run] = field(default_factory=list)
    trainings: dict[Key, TrainingPlan] = field(default_factory=dict)
    checkpoints: dict[Key, Path] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    problems: list[Lacking] = field(default_factory=list)
    looked_at: list[Plan] = field(default_factory=list)
    skeletons: Loaded = field(default_factory=lambda: Loaded(skeleton=True))


def check(runs: Sequence[Run]) -> Checked:
    """Look at all trainings and runs of a grid."""
    found = Checked()
    lacking = _no_device(runs)
    if lacking is not None:  # then nothing else can be looked at as it will be run
        found.problems.append(Lacking(tuple(cell for run in runs for cell in run.cells()), lacking))
        return found
    failed = _check_trainings(runs, found)
    for run in runs:
        found.problems += without(run, failed)
        kept = tuple(name for name in run.editors if key_of_editor(run, name) not in failed)
        if kept or not run.editors:
            _check_run(with_editors(run, kept), found)
    return found


def _no_device(runs: Sequence[Run]) -> str | None:
    """Say why there is no such device; None where there is."""
    try:
        for device, elsewhere in {(run.request.device, run.request.elsewhere) for run in runs}:
            resolve_device(device, elsewhere=elsewhere)
    except UserError as error:
        return str(error)
    return None


def with_editors(run: Run, editors: Sequence[str]) -> Run:
    """Return a run of some of its editors; of none it is the floor alone."""
    own = tuple(editors) or (FLOOR,)
    changes = {name: values for name, values in run.request.changes.items() if name in own}
    trainings = {name: training for name, training in run.trainings.items() if name in own}
    return replace(run, request=replace(run.request, editors=own, changes=changes), trainings=trainings)


def without(run: Run, failed: Mapping[Key | None, str]) -> Iterator[Lacking]:
    """Yield the cells of a run whose trainings cannot be made, or have failed."""
    for name, training in run.trainings.items():
        if key_of(training) in failed:
            yield Lacking(tuple(run.cells([name])), failed[key_of(training)])


def key_of_editor(run: Run, editor: str) -> Key | None:
    """Return the key of an editor's training; None where it needs none."""
    return key_of(run.trainings[editor]) if editor in run.trainings else None


def with_checkpoints(run: Run, checkpoints: dict[Key, Path]) -> Request:
    """Return the request of a run whose trainings are done."""
    named = {name: checkpoints[key_of(training)] for name, training in run.trainings.items()}
    return replace(run.request, checkpoints=named)


def _check_trainings(runs: Sequence[Run], found: Checked) -> dict[Key | None, str]:
    """Find each training's checkpoint, or plan the training; return why some cannot be made, by key."""
    failed: dict[Key | None, str] = {}
    wanted = {key_of(training): training for run in runs for training in run.trainings.values()}
    for key, training in wanted.items():
        try:
            checkpoint = checkpoint_of(training)
            if checkpoint is None:
                found.trainings[key] = _planned(training)
            else:
                found.checkpoints[key] = checkpoint
        except UserError as error:
            failed[key] = str(error)
    return failed


def _planned(training: TrainRequest) -> TrainingPlan:
    planned = train.plan(training, alone=True)
    try:
        planned.editor.check(planned.skeleton)
    except UserError as error:
        raise UserError(f"{text_of(training)}: {error}") from error
    return planned


def _check_run(run: Run, found: Checked) -> None:
    """Look at a run; where it cannot be made as it is, look at its editors one by one."""
    try:
        plans = _resolved(run, found)
    except UserError:
        pass
    else:
        _accept(run, plans, found)
        return
    alone = _why_not(with_editors(run, ()), found)
    if alone is not None:
        found.problems.append(Lacking(tuple(run.cells()), alone))
        return
    reasons = {name: _why_not(with_editors(run, (name,)), found) for name in run.editors}
    found.problems += [Lacking(tuple(run.cells([name])), why) for name, why in reasons.items() if why is not None]
    kept = with_editors(run, [name for name, why in reasons.items() if why is None])
    if kept.editors:
        _accept(kept, _resolved(kept, found), found)


def _accept(run: Run, plans: Sequence[Plan], found: Checked) -> None:
    if len(plans) == 1 and not plans[0].request.untrained:
        found.plans[len(found.runs)] = plans[0]
    found.runs.append(run)
    found.looked_at += plans


def _why_not(run: Run, found: Checked) -> str | None:
    try:
        _resolved(run, found)
    except UserError as error:
        return str(error)
    return None


def _resolved(run: Run, found: Checked) -> list[Plan]:
    """Plan a run and look at it on the backbone's skeleton.

    Raises:
        UserError: it cannot be made.
    """
    plans = [planning.plan(request) for request in _checkable(run, found)]
    for planned in plans:
        check_sites(planned, found.skeletons)
    return plans


def _checkable(run: Run, found: Checked) -> Iterator[Request]:
    """Yield requests that can be planned before the trainings: with the checkpoints that are there, and without any."""
    waiting = [name for name in run.trainings if key_of_editor(run, name) in found.trainings]
    ready = [name for name in run.editors if name not in waiting]
    if ready or not waiting:
        yield with_checkpoints(with_editors(run, ready), found.checkpoints)
    if waiting:
        yield replace(with_editors(run, waiting).request, untrained=True)
