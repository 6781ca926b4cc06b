"""The training loop: one for every trainable editor.

A record at a time; gradients of several records are added up before the optimiser steps; now and then the editor is
validated, and the best networks are kept. What is needed to go on is written at least once a minute, always between
two steps of the optimiser, so that a training that was killed ends with the same bits as one that was not.

Several processes share each step's records; their gradients are summed, so that the same records make the same step.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmke.backbones.store import MemoryStore
from mmke.editors.trained import BEST, LAST, NETWORK, Checkpoint, TrainedFor, read, write
from mmke.protocols import Backbone, Store, TrainableEditor
from mmke.training.curves import Curves
from mmke.training.pace import Pace
from mmke.training.processes import Processes
from mmke.types import EditCase, UserError

SAVE_SECONDS = 60.0
OPTIMISER = "optimiser."


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

    def go(self, *, on_step: Callable[[int], None] = lambda _: None) -> Path:
        """Train to the end, from wherever the last checkpoint is, and return the best checkpoint.

        Raises:
            UserError: a loss or a gradient is no number.
        """
        optimiser, schedule = self.editor.optimiser()
        self._take_up(optimiser, schedule)
        saved = time.monotonic()
        with Curves(self.folder, records=self.pace.done, write=self.processes.first) as curves:
            while not self.pace.over():
                figures = self._step(optimiser, schedule)
                curves.add("train", self.pace.done, figures)
                on_step(self.pace.done)
                if self._validate(curves) or time.monotonic() - saved > SAVE_SECONDS:
                    self._save(LAST, {}, optimiser, schedule)
                    saved = time.monotonic()
            self._save(LAST, {}, optimiser, schedule)
        return self.folder / BEST

    def _step(self, optimiser: torch.optim.Optimizer, schedule: Any) -> dict[str, float]:
        """Train on as many records as make a step of the optimiser."""
        optimiser.zero_grad()
        told: list[dict[str, float]] = []
        training = self.editor.training
        for number in range(training.accumulate):
            if self.pace.over():
                break
            case = self.cases[self.pace.next()]
            if number % self.processes.count == self.processes.number:
                told.append(self._learn(case, training.accumulate))
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        self.processes.add_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, training.clip)
        if not torch.isfinite(norm):
            raise UserError(self._no_number(f"the gradient behind record {self.pace.done}"))
        optimiser.step()
        if schedule is not None:
            schedule.step()
        self.editor.after_step()
        return {name: sum(each[name] for each in told) / len(told) for name in told[0]} if told else {}

    def _learn(self, case: EditCase, accumulate: int) -> dict[str, float]:
        losses = self.editor.losses(self.backbone, case, store=self.store, learn=True)
        total = losses["total"]
        if not torch.isfinite(total):
            raise UserError(self._no_number(f"the loss of record {case.id}"))
        (total / accumulate).backward()  # type: ignore[no-untyped-call]
        return {name: float(value.detach()) for name, value in losses.items()}

    def _no_number(self, what: str) -> str:
        return (
            f"{self.editor.name}: {what} is no finite number after {self.pace.done} records; the best and the last "
            f"good checkpoint are kept in {self.folder}. Train with a smaller rate (--set {self.editor.name}.rate=…), "
            "or in float32"
        )

    def _validate(self, curves: Curves) -> bool:
        """Validate where the pace says so; return whether it did."""
        before = self.pace.done - self.editor.training.accumulate
        if not self.pace.validates(since=before):
            return False
        figures = self._figures()
        self.editor.after_validation(figures)
        curves.add("validation", self.pace.done, figures)
        if self.pace.heard(figures["total"]):
            self._save(BEST, figures, None, None)
        return True

    @torch.no_grad()
    def _figures(self) -> dict[str, float]:
        found = [
            self.editor.losses(self.backbone, case, store=self.store, learn=False)
            for case in self.held[: self.editor.training.validation_records]
        ]
        return {name: math.fsum(float(each[name]) for each in found) / len(found) for name in found[0]}

    def _save(
        self, name: str, figures: Mapping[str, float], optimiser: torch.optim.Optimizer | None, schedule: Any
    ) -> None:
        if not self.processes.first or self.editor.network is None:
            return
        tensors = {f"{NETWORK}{key}": value for key, value in self.editor.network.state_dict().items()}
        further: dict[str, Any] = {}
        if optimiser is not None:
            state = optimiser.state_dict()
            tensors |= _flat(state["state"])
            further = {"pace": asdict(replace(self.pace)), "groups": state["param_groups"]}
            further["schedule"] = None if schedule is None else schedule.state_dict()
            further["pace"].pop("training")
        facts = replace(self.facts, records=self.pace.done, figures=dict(figures))
        write(self.folder / name, tensors, facts, further=further)

    def _take_up(self, optimiser: torch.optim.Optimizer, schedule: Any) -> None:
        """Go on where the last checkpoint is, if there is one."""
        last = self.folder / LAST
        if not last.is_file():
            return
        kept = read(last)
        restore_pace(self.pace, kept)
        state = _nested({key: value for key, value in kept.tensors.items() if key.startswith(OPTIMISER)})
        optimiser.load_state_dict({"state": state, "param_groups": kept.further["groups"]})
        if schedule is not None:
            schedule.load_state_dict(kept.further["schedule"])


def restore_pace(pace: Pace, checkpoint: Checkpoint) -> None:
    """Move a pace to where a checkpoint was written."""
    for name, value in checkpoint.further["pace"].items():
        setattr(pace, name, value)


def _flat(state: Mapping[int, Mapping[str, Any]]) -> dict[str, Tensor]:
    return {
        f"{OPTIMISER}{number}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for number, each in state.items()
        for name, value in each.items()
    }


def _nested(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.removeprefix(OPTIMISER).partition(".")
        state.setdefault(int(number), {})[name] = value
    return state
