"""How far each cell of a grid is: its records, those that are finished, and the training that it waits for.

In: the runs of a grid, and what is in the results folder. Out: a `State` for each cell. No weights are read; where the
data are not there, records of the published benchmarks are counted as others counted them, and others are not known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.grid.done import Done
from mmke.grid.expand import Cell, Run
from mmke.grid.measured import Measured
from mmke.grid.trainings import checkpoint_of
from mmke.running import planning
from mmke.running.request import FLOOR
from mmke.training.train import TrainRequest


@dataclass(frozen=True)
class State:
    """How far a cell is.

    Attributes:
        cell: which one.
        records: that it has in all; None where that is not known.
        finished: of them.
        training: that has to come first; None where it needs none, or is finished.
        counted: whether the records are those of the data; False: as others counted them.
    """

    cell: Cell
    records: int | None
    finished: int
    training: TrainRequest | None = None
    counted: bool = True

    @property
    def left(self) -> int | None:
        """Return how many records are to be done."""
        return None if self.records is None else self.records - self.finished


class _Counted(NamedTuple):
    """Cells of a run as the data name them, with their records; without data how many there are, if that is known."""

    keys: Mapping[tuple[str, int | None], tuple[Cell, frozenset[Any]]]
    records: int | None


def states(runs: Sequence[Run], done: Mapping[Cell, Done], measured: Measured) -> list[State]:
    """Return the state of each cell."""
    counted: dict[str, _Counted] = {}
    found: list[State] = []
    for run in runs:
        # Which records there are is the same for all backbones and seeds.
        key = repr(replace(run.request, backbone="", changes={}, weights=None, dtype=None, seed=0))
        if key not in counted:
            counted[key] = _count(run, measured)
        found += _states(run, counted[key], done)
    return found


def _count(run: Run, measured: Measured) -> _Counted:
    # Untrained, so that nothing has to be there, and on the processor, which always is.
    request = replace(run.request, untrained=True, device="cpu", dtype=None, elsewhere=False)
    for editors in (run.editors or (FLOOR,), (FLOOR,)):
        changes = {name: values for name, values in request.changes.items() if name in editors}
        try:
            planned = planning.plan(replace(request, editors=editors, changes=changes))
        except UserError:
            continue
        keys = {}
        for cell in planned.cells:
            order = cell.schedule.order_seed
            place = (request.backbone, cell.benchmark.name, request.hop, request.protocol, request.seed)
            named = Cell(*place, cell.editor.name, cell.schedule.name, order)
            keys[cell.editor.name, order] = (named, frozenset(cell.keys))
        return _Counted(keys, None)
    counts = measured.published.get(run.benchmark)
    known = counts is not None and not run.stream and run.request.probes == "published"
    if counts is None or not known:
        return _Counted({}, None)
    return _Counted({}, min(counts.eval, run.request.limit or counts.eval))


def _states(run: Run, counted: _Counted, done: Mapping[Cell, Done]) -> Iterator[State]:
    waiting = {name: training for name, training in run.trainings.items() if not _is_there(training)}
    for cell in run.cells():
        training = waiting.get(cell.editor)
        # A single edit's records are the same for all editors.
        found = counted.keys.get((cell.editor, cell.order_seed)) or (
            None if run.stream else counted.keys.get((FLOOR, None))
        )
        if found is None:
            kept = done.get(cell)
            yield State(cell, counted.records, len(kept.keys) if kept else 0, training, counted=False)
            continue
        named = cell._replace(benchmark=found[0].benchmark, schedule=found[0].schedule)
        kept = done.get(named)
        yield State(named, len(found[1]), len(found[1] & kept.keys) if kept else 0, training)


def _is_there(training: TrainRequest) -> bool:
    try:
        return checkpoint_of(training) is not None
    except UserError:  # told among what cannot be made
        return False
