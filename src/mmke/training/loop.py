"""The training loop: one for every trainable editor.

A record at a time; gradients of several records are added up before the optimizer steps; now and then the editor is
validated, and the best networks are kept. What is needed to go on is written at least once a minute, always between
two steps of the optimizer, so that a training that was killed ends with the same bits as one that was not.

Several processes share each step's records; their gradients are summed, so that the same records make the same step.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mmke.backbones.engine.store import MemoryStore
from mmke.editing.trained import BEST, LAST, Checkpoint, TrainedFor, write
from mmke.errors import UserError
from mmke.protocols import Backbone, Store, TrainableEditor
from mmke.training.curves import Curves
from mmke.training.last import Moving, digest, network_named, restore, write_last
from mmke.training.pace import Pace
from mmke.training.processes import Processes
from mmke.training.step import NotFiniteError, numbers, take_step
from mmke.types import EditCase

SAVE_SECONDS = 60.0


@dataclass
class Run:
    """A training at work.

    Attributes:
        editor: prepared for the backbone, or filled from the last checkpoint.
        backbone: never trained.
        cases: to train on.
        held: to validate with.
        pace: where it is.
        facts: what its checkpoints state.
        folder: where they go.
        processes: this one and those that share its steps.
        store: keeps trunks.
        at: the record that is worked on.
    """

    editor: TrainableEditor
    backbone: Backbone
    cases: Sequence[EditCase]
    held: Sequence[EditCase]
    pace: Pace
    facts: TrainedFor
    folder: Path
    processes: Processes
    store: Store = field(default_factory=MemoryStore)
    at: str = "none yet"

    def go(self, *, last: Checkpoint | None, on_step: Callable[[int], None] = lambda _: None) -> Path:
        """Train to the end, from the beginning or from the last checkpoint, and return the best checkpoint.

        Raises:
            UserError: a loss or a gradient is no number, or memory ends.
        """
        optimizer, schedule = self.editor.optimizer()
        if self.editor.network is None:
            raise ValueError(f"{self.editor.name} has no networks; prepare it first")
        moving = Moving(self.editor.network, optimizer, schedule, self.pace)
        if last is not None:
            restore(moving, last)
        try:
            self._go(moving, on_step)
        except torch.OutOfMemoryError as error:
            raise UserError(no_room(self.editor.name, self.backbone, f"at record {self.at}; {self._kept()}")) from error
        return self.folder / BEST

    def _go(self, moving: Moving, on_step: Callable[[int], None]) -> None:
        data, saved = digest(self.cases, self.held), time.monotonic()
        with Curves(self.folder, records=self.pace.done, write=self.processes.first) as curves:
            while not self.pace.over():
                before = self.pace.done
                curves.add("train", *self._step(moving))
                on_step(self.pace.done)
                validated = self.pace.validates(since=before)
                if validated:
                    self._validate(moving, curves)
                if validated or time.monotonic() - saved > SAVE_SECONDS:
                    self._save(moving, data)
                    saved = time.monotonic()
            self._save(moving, data)

    def _step(self, moving: Moving) -> tuple[int, dict[str, float]]:
        """Train on as many records as make a step; return how many there were by now, and the parts of their loss."""
        cases: list[EditCase] = []
        while len(cases) < self.editor.training.gradient_accumulation_steps and not self.pace.over():
            cases.append(self.cases[self.pace.next()])
        try:
            told = take_step(
                self.editor,
                self.backbone,
                self._own(cases),
                (moving.optimizer, moving.schedule),
                store=self.store,
                add_gradients=self.processes.add_gradients,
            )
        except NotFiniteError as error:
            raise UserError(self._no_number(error.what(cases))) from error
        means = {name: sum(each[name] for each in told) / len(told) for name in told[0]} if told else {}
        return self.pace.done, means

    def _own(self, cases: Sequence[EditCase]) -> Iterator[EditCase]:
        """Go through the records of a step that are this process's part of it."""
        for number, case in enumerate(cases):
            if number % self.processes.count == self.processes.number:
                self.at = case.id
                yield case

    def _validate(self, moving: Moving, curves: Curves) -> None:
        figures = self._figures()
        figure = self.editor.after_validation(figures)
        curves.add("validation", self.pace.done, figures)
        if self.pace.record_validation(figure) and self.processes.first:
            self._check(moving)
            facts = replace(self.facts, records=self.pace.done, figures=figures)
            write(self.folder / BEST, network_named(moving.network), facts, further={})

    @torch.no_grad()
    def _figures(self) -> dict[str, float]:
        found = []
        for case in self.held[: self.editor.training.validation_records]:
            self.at = case.id
            found.append(numbers(self.editor.losses(self.backbone, case, store=self.store, learn=False)))
            if not math.isfinite(found[-1]["total"]):
                raise UserError(self._no_number(f"the loss of validation record {case.id}"))
        return {name: math.fsum(each[name] for each in found) / len(found) for name in found[0]}

    def _save(self, moving: Moving, data: str) -> None:
        if not self.processes.first:
            return
        self._check(moving)
        write_last(self.folder / LAST, moving, replace(self.facts, records=self.pace.done), data=data)

    def _check(self, moving: Moving) -> None:
        """Refuse networks that are no numbers before they are written."""
        broken = [name for name, tensor in moving.network.state_dict().items() if not tensor.isfinite().all()]
        if broken:
            raise UserError(self._no_number(f"{broken[0]!r} of the networks"))

    def _no_number(self, what: str) -> str:
        step = -(-self.pace.done // self.editor.training.gradient_accumulation_steps)
        return (
            f"{self.editor.name}: {what} is no finite number at step {step}, {self.pace.done} records into training; "
            f"{self._kept()}. Train with a smaller learning rate into another folder (--set learning_rate=… --out …), "
            "or in float32 (--dtype float32)"
        )

    def _kept(self) -> str:
        """Say what is left of a training that breaks off."""
        names = " and ".join(name for name in (BEST, LAST) if (self.folder / name).is_file())
        return f"what was good before is kept: {names} in {self.folder}" if names else "nothing was kept yet"


def no_room(editor: str, backbone: Backbone, where: str) -> str:
    """Say that memory ended, and what helps."""
    device = backbone.device
    held = f" ({torch.cuda.memory_reserved(device) / 2**30:.1f} GiB are held)" if device.type == "cuda" else ""
    return (
        f"{device} has too little memory to train {editor} on {backbone.name} {where}{held}. End what else runs there "
        "(nvidia-smi), take --dtype float16, smaller networks (--set, the sizes in its settings), or a larger card"
    )
