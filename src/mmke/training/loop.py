"""The training loop: one for every trainable editor.

In: an editor with its networks, a loaded backbone, the records to train on and those for validation. Out: in the
training's folder `best.safetensors`, `last.safetensors` and the curves.

Records are trained on one at a time. Their gradients are accumulated, and then the optimizer steps. From time to time
the editor is validated, and the networks of the best validation are kept. The last checkpoint is written at least once
a minute and always between two steps of the optimizer, so that a training that was killed ends with the same bits as
one that was not.

Several processes divide the records of a step among them and sum their gradients: the result is that of one process.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mmke.backbones.engine.cards import cards_of
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.trained import BEST, LAST, Checkpoint, TrainedFor, write
from mmke.errors import UserError
from mmke.protocols import Backbone, Store, TrainableEditor
from mmke.training.curves import Curves
from mmke.training.last_checkpoint import TrainingState, digest, network_named, restore, write_last
from mmke.training.processes import Processes
from mmke.training.progress import Progress
from mmke.training.recording import Recorder
from mmke.training.step import NotFiniteError, Optimization, take_step, to_floats
from mmke.types import EditCase

SAVE_SECONDS = 60.0
"""Seconds between two writes of the last checkpoint."""


@dataclass
class TrainingLoop:
    """One training, with everything loaded.

    Attributes:
        editor: its networks are fresh, or those of the last checkpoint.
        backbone: unedited; it is never trained.
        cases: records to train on.
        validation_cases: records for validation.
        progress: which records were trained on, and the best validation.
        facts: what its checkpoints say of themselves.
        folder: for checkpoints and curves.
        processes: this process and those that train with it.
        store: keeps what the backbone computes below the edited layers.
        records: whether passes of records that were seen before are recorded (`recording`), on a GPU.
        current: id of the record at work, for messages.
    """

    editor: TrainableEditor
    backbone: Backbone
    cases: Sequence[EditCase]
    validation_cases: Sequence[EditCase]
    progress: Progress
    facts: TrainedFor
    folder: Path
    processes: Processes
    store: Store = field(default_factory=MemoryStore)
    records: bool = False
    current: str = "none yet"

    def run(self, *, last: Checkpoint | None, on_step: Callable[[int], None] = lambda _: None) -> Path:
        """Train to the end and return the path of the best checkpoint.

        Args:
            last: the checkpoint to continue from; None: the training begins.
            on_step: called after each step with the number of records trained on.

        Raises:
            UserError: a loss, a gradient or a network is not finite, or there is too little memory.
        """
        optimizer, schedule = self.editor.optimizer()
        if self.editor.network is None:
            raise ValueError(f"{self.editor.name} has no networks; prepare it first")
        state = TrainingState(self.editor.network, optimizer, schedule, self.progress)
        if last is not None:
            restore(state, last)
        recorder = self._recorder(optimizer)
        try:
            self._train(state, on_step, recorder)
        except torch.OutOfMemoryError as error:
            when = f"at record {self.current}; {self._kept()}"
            raise UserError(out_of_memory(self.editor.name, self.backbone, when)) from error
        finally:
            if recorder is not None:
                recorder.close()
        return self.folder / BEST

    def _recorder(self, optimizer: torch.optim.Optimizer) -> Recorder | None:
        """Return what records passes; None on a processor, and for an editor that does not say that it can be."""
        if not self.records or self.backbone.device.type != "cuda" or not getattr(self.editor, "recordable", False):
            return None
        return Recorder([parameter for group in optimizer.param_groups for parameter in group["params"]])

    def _train(self, state: TrainingState, on_step: Callable[[int], None], recorder: Recorder | None) -> None:
        data, saved = digest(self.cases, self.validation_cases), time.monotonic()
        with Curves(self.folder, records=self.progress.done, write=self.processes.first) as curves:
            while not self.progress.finished():
                before = self.progress.done
                losses = self._step(state, recorder)
                curves.add("train", self.progress.done, losses)
                on_step(self.progress.done)
                validated = self.progress.validation_due(since=before)
                if validated:
                    self._validate(state, curves)
                if validated or time.monotonic() - saved > SAVE_SECONDS:
                    self._save(state, data)
                    saved = time.monotonic()
            self._save(state, data)

    def _step(self, state: TrainingState, recorder: Recorder | None) -> dict[str, float]:
        """Take one step of the optimizer, and return the parts of the loss, each the mean over its records."""
        cases: list[EditCase] = []
        while len(cases) < self.editor.training.gradient_accumulation_steps and not self.progress.finished():
            cases.append(self.cases[self.progress.next_record()])
        try:
            losses = take_step(
                self.editor,
                self.backbone,
                self._own(cases),
                Optimization(state.optimizer, state.schedule, recorder),
                store=self.store,
                add_gradients=self.processes.add_gradients,
            )
        except NotFiniteError as error:
            raise UserError(self._not_finite(error.what(cases))) from error
        # A process may have no record of its own in a step.
        return {name: sum(each[name] for each in losses) / len(losses) for name in losses[0]} if losses else {}

    def _own(self, cases: Sequence[EditCase]) -> Iterator[EditCase]:
        """Yield the records of a step that this process has to do."""
        for number, case in enumerate(cases):
            if number % self.processes.count == self.processes.number:
                self.current = case.id
                yield case

    def _validate(self, state: TrainingState, curves: Curves) -> None:
        """Validate, and write the best checkpoint if no validation before was better."""
        losses = self._validation_losses()
        figure = self.editor.after_validation(losses)
        curves.add("validation", self.progress.done, losses)
        if self.progress.record_validation(figure) and self.processes.first:
            self._check_finite(state)
            facts = replace(self.facts, records=self.progress.done, figures=losses)
            write(self.folder / BEST, network_named(state.network), facts, further={})

    @torch.no_grad()
    def _validation_losses(self) -> dict[str, float]:
        """Return the parts of the validation loss, each the mean over the records."""
        losses = []
        for case in self.validation_cases[: self.editor.training.validation_records]:
            self.current = case.id
            losses.append(to_floats(self.editor.losses(self.backbone, case, store=self.store, learn=False)))
            if not math.isfinite(losses[-1]["total"]):
                raise UserError(self._not_finite(f"the loss of validation record {case.id}"))
        return {name: math.fsum(each[name] for each in losses) / len(losses) for name in losses[0]}

    def _save(self, state: TrainingState, data: str) -> None:
        """Write the last checkpoint."""
        if self.processes.first:
            self._check_finite(state)
            write_last(self.folder / LAST, state, replace(self.facts, records=self.progress.done), data=data)

    def _check_finite(self, state: TrainingState) -> None:
        """Refuse to write networks with NaN or infinite values."""
        broken = [name for name, tensor in state.network.state_dict().items() if not tensor.isfinite().all()]
        if broken:
            raise UserError(self._not_finite(f"{broken[0]!r} of the networks"))

    def _not_finite(self, what: str) -> str:
        done = self.progress.done
        step = -(-done // self.editor.training.gradient_accumulation_steps)
        return (
            f"{self.editor.name}: {what} is no finite number at step {step}, {done} records into training; "
            f"{self._kept()}. Train with a smaller learning rate into another folder (--set learning_rate=… --out …), "
            "or in float32 (--dtype float32)"
        )

    def _kept(self) -> str:
        """Say which checkpoints a training that ends with an error leaves behind."""
        names = " and ".join(name for name in (BEST, LAST) if (self.folder / name).is_file())
        return f"what was good before is kept: {names} in {self.folder}" if names else "nothing was kept yet"


def out_of_memory(editor: str, backbone: Backbone, when: str) -> str:
    """Return the message that there is too little memory, and what helps."""
    devices = cards_of(backbone.module)
    reserved = sum(torch.cuda.memory_reserved(each) for each in devices if each.type == "cuda")
    held = f" ({reserved / 2**30:.1f} GiB are held)" if reserved else ""
    named = ", ".join(map(str, devices))
    return (
        f"{named} has too little memory to train {editor} on {backbone.name} {when}{held}. End what else runs there "
        "(nvidia-smi), take --dtype float16, smaller networks (--set, the sizes in its settings), or a larger GPU"
    )
