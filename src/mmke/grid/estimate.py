"""What is left of a grid, in hours and bytes: from what was measured, and nothing else.

In: the state of each cell, what the results folder holds, and the measurements. Out: an `Estimate`. A figure comes from
the cell's own records, from others of the same backbone, editor, kind and protocol in the folder, or from
`measured.toml`. What none of these knows is listed as unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from mmke.grid.done import Done
from mmke.grid.expand import Cell
from mmke.grid.measured import Found, Measured, kind_of
from mmke.grid.states import State
from mmke.grid.trained_steps import Steps, steps_of
from mmke.grid.trainings import key_of, text_of
from mmke.running.request import FLOOR
from mmke.training.train import TrainRequest

HERE = "the results folder"


class Part(NamedTuple):
    """A part of what is left.

    Attributes:
        what: "records", "training" or "loading".
        backbone: whose.
        editor: whose; "" for loading.
        amount: seconds, or bytes.
        source: where the figure is from.
        differs: what is another there.
    """

    what: str
    backbone: str
    editor: str
    amount: float
    source: str
    differs: str = ""


class Unknown(NamedTuple):
    """A figure that no measurement tells: what it is, of which editor on which backbone; "" where it has none."""

    what: str
    editor: str = ""
    backbone: str = ""


@dataclass
class Estimate:
    """What is left.

    Attributes:
        seconds: of one worker, part by part.
        bytes: that will be written.
        unknown: what no measurement tells, each in a few words.
        validated: records in validations of trainings, whose seconds are not measured.
    """

    seconds: list[Part] = field(default_factory=list)
    bytes: list[Part] = field(default_factory=list)
    unknown: list["Unknown"] = field(default_factory=list)
    validated: int = 0

    @property
    def hours(self) -> float:
        """Return the hours of one card, or of one core, that are known."""
        return sum(part.amount for part in self.seconds) / 3600


def estimate(
    states: Sequence[State], done: Mapping[Cell, Done], measured: Measured, *, device: str, workers: int = 1
) -> Estimate:
    """Return what is left of a grid.

    Args:
        states: of its cells.
        done: what the results folder holds.
        measured: elsewhere.
        device: on which it will be run.
        workers: each of them loads each backbone once.
    """
    found = Estimate()
    for state in states:
        if state.left != 0:
            _add_records(found, state, _seconds(state.cell, done, measured, device))
            _add_bytes(found, state, _bytes(state.cell, done, measured))
    trainings = {key_of(state.training): state.training for state in states if state.training is not None}
    for training in trainings.values():
        _add_training(found, training, measured, device)
    busy = [state.cell.backbone for state in states if state.left != 0]
    for backbone in dict.fromkeys([*busy, *(each.backbone for each in trainings.values())]):
        loading = measured.load(backbone, device=device)
        if loading is None:
            found.unknown.append(Unknown("seconds to load", backbone=backbone))
        else:
            found.seconds.append(Part("loading", backbone, "", workers * loading.value, loading.source))
    return found


def _add_records(found: Estimate, state: State, figure: Found | None) -> None:
    cell = state.cell
    if state.left is None:
        found.unknown.append(Unknown(f"records of {cell.benchmark}{_schedule(cell)}"))
    elif figure is None:
        found.unknown.append(Unknown(f"seconds a record{_schedule(cell)}", cell.editor, cell.backbone))
    else:
        amount = state.left * figure.value
        found.seconds.append(Part("records", cell.backbone, cell.editor, amount, figure.source, figure.differs))


def _add_bytes(found: Estimate, state: State, figure: Found | None) -> None:
    cell = state.cell
    if state.left is not None and figure is not None:
        amount = state.left * figure.value
        found.bytes.append(Part("records", cell.backbone, cell.editor, amount, figure.source, figure.differs))
    elif figure is None:
        found.unknown.append(Unknown(f"bytes a record{_schedule(cell)}", cell.editor))


def _add_training(found: Estimate, training: TrainRequest, measured: Measured, device: str) -> None:
    kinds = {kind_of(name) for name in training.benchmarks}
    kind = kinds.pop() if len(kinds) == 1 else ""
    steps = steps_of(training, measured)
    figures = measured.step(training.editor, training.backbone, kind, training.protocol, device=device)
    if steps is None:
        found.unknown.append(Unknown(f"records of the {text_of(training)}"))
    elif figures is None:
        found.unknown.append(Unknown("seconds a training step", training.editor, training.backbone))
    else:
        found.seconds.append(_training_part(training, steps, *figures))
        found.validated += steps.validated
    size = measured.bytes_of_checkpoints(training.editor, training.backbone)
    if size is None:
        found.unknown.append(Unknown("bytes of checkpoints", training.editor, training.backbone))
    else:
        found.bytes.append(Part("training", training.backbone, training.editor, size.value, size.source))


def _training_part(training: TrainRequest, steps: Steps, new: Found, seen: Found) -> Part:
    amount = steps.new * new.value + steps.seen * seen.value
    return Part("training", training.backbone, training.editor, amount, new.source, new.differs)


def _seconds(cell: Cell, done: Mapping[Cell, Done], measured: Measured, device: str) -> Found | None:
    on_gpu = device.startswith("cuda")
    for own in (_own(cell, done), _alike(cell, done)):
        seconds = [each for kept in own if kept.on_gpu == on_gpu for each in kept.seconds]
        if seconds:
            return Found(fmean(seconds), HERE)
    # A stream asks each record several times; its floor does not.
    if cell.schedule != "single" and cell.editor != FLOOR:
        return None
    return measured.seconds(cell.editor, cell.backbone, kind_of(cell.benchmark), cell.protocol, device=device)


def _bytes(cell: Cell, done: Mapping[Cell, Done], measured: Measured) -> Found | None:
    for own in (_own(cell, done), _alike(cell, done)):
        records = sum(len(kept.keys) for kept in own)
        if records:
            return Found(sum(kept.bytes for kept in own) / records, HERE)
    if cell.schedule != "single" and cell.editor != FLOOR:
        return None
    return measured.bytes_of_record(cell.editor, kind_of(cell.benchmark))


def _own(cell: Cell, done: Mapping[Cell, Done]) -> list[Done]:
    return [done[cell]] if cell in done else []


def _alike(cell: Cell, done: Mapping[Cell, Done]) -> list[Done]:
    """Return what is there of cells with the same backbone, editor, kind of knowledge, protocol and schedule."""
    return [kept for other, kept in done.items() if _signs(other) == _signs(cell)]


def _signs(cell: Cell) -> tuple[str, ...]:
    return cell.backbone, cell.editor, kind_of(cell.benchmark), cell.protocol, cell.schedule


def _schedule(cell: Cell) -> str:
    return "" if cell.schedule == "single" else f" in {cell.schedule}"
