"""Training steps of an editor on one side, timed.

In: an editor with fresh networks, a backbone, records. Out: a `Step` for each step, its cost for one record. A step is
what the training loop does: losses and gradients of the records that are accumulated, clipping, a step of the
optimizer. Each step is taken twice: first on new records, then again on the same, for which the store has what was
computed below the edited layers, as in all epochs but the first.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.replay import deterministic
from mmke.backbones.engine.store import HostStore, MemoryStore
from mmke.editing.objective import ASKED
from mmke.errors import UserError
from mmke.protocols import TrainableEditor
from mmke.running.memory import forget_peaks, peaks
from mmke.training.step import NotFiniteError, Optimization, take_step
from mmke.types import Ask, EditCase, Switches
from mmke_bench.plain import Forward, PlainBackbone

Sight = Literal["new", "seen"]


@dataclass
class Cost:
    """Of one record in a step.

    Attributes:
        wall: wall-clock seconds.
        cpu: processor seconds.
        peaks: peak memory in bytes, by kind (`memory.peaks`).
    """

    wall: float = 0.0
    cpu: float = 0.0
    peaks: Mapping[str, int] = field(default_factory=dict)

    def seconds(self, clock: Literal["wall", "cpu"]) -> float:
        """Return the seconds by a clock."""
        return self.wall if clock == "wall" else self.cpu


@dataclass(frozen=True)
class Step:
    """One step; costs are per record.

    Attributes:
        new: cost on records that are seen for the first time.
        seen: cost on the same records again.
        asides: cost of the probes that the published step asks although no loss reads them; None on our side.
        log: the plain loop's forward passes for a record, without those of `asides`.
        asides_log: its forward passes for `asides`.
    """

    new: Cost
    seen: Cost
    asides: Cost | None = None
    log: Sequence[Forward] = ()
    asides_log: Sequence[Forward] = ()

    def data(self) -> dict[str, Any]:
        """Return the figures, without passes."""
        return {
            "new": asdict(self.new),
            "seen": asdict(self.seen),
            "asides": None if self.asides is None else asdict(self.asides),
        }


@dataclass(frozen=True)
class Trainer:
    """An editor in training on one side; the networks are fresh.

    Attributes:
        editor: prepared.
        backbone: cut or not.
        switches: of the protocol.
    """

    editor: TrainableEditor
    backbone: ComposedBackbone | PlainBackbone
    switches: Switches

    def run(self, cases: Sequence[EditCase], steps: int) -> Iterator[Step]:
        """Take some steps, each twice: on new records, and on the same again."""
        optimization = Optimization(*self.editor.optimizer())
        number = self.editor.training.gradient_accumulation_steps
        store = HostStore()
        for begin in range(0, steps * number, number):
            chosen = [cases[i % len(cases)] for i in range(begin, begin + number)]
            new, log = self._timed(lambda chosen=chosen: self._step(chosen, optimization, store), number)
            seen = new
            if not isinstance(self.backbone, PlainBackbone):  # which keeps nothing
                seen, _ = self._timed(lambda chosen=chosen: self._step(chosen, optimization, store), number)
            asides, aside = self._ask_besides(chosen[0])
            yield Step(new, seen, asides, log[: len(log) // number], aside)

    def _step(self, cases: Sequence[EditCase], optimization: Any, store: Any) -> None:
        plain = isinstance(self.backbone, PlainBackbone)
        with nullcontext() if plain else deterministic(self.backbone.device):
            try:
                take_step(self.editor, self.backbone, cases, optimization, store=store)
            except NotFiniteError as error:
                raise UserError(
                    f"{self.editor.name} on {self.backbone.name}: {error.what(cases)} is no finite number; take "
                    "--dtype float32, or real weights"
                ) from error

    def _ask_besides(self, case: EditCase) -> tuple[Cost | None, Sequence[Forward]]:
        """Ask the edited model the probes that the published step asks and no loss reads; without a gradient."""
        if not self.editor.published.asks_all or not isinstance(self.backbone, PlainBackbone):
            return None, ()
        besides = [probe for probe in case.probes if probe.kind.name not in ASKED]
        store = MemoryStore()
        with self.editor.open(self.backbone, store) as session:
            session.apply(case.edits)
            self.backbone.log.clear()
            return self._timed(lambda: session.answer(besides, Ask(labels=self.switches.labels)), 1)

    def _timed(self, function: Any, records: int) -> tuple[Cost, Sequence[Forward]]:
        """Return what a function cost per record, and the passes that it logged."""
        device = self.backbone.device
        forget_peaks(device)
        with _clock(device) as cost:
            function()
        cost.wall, cost.cpu, cost.peaks = cost.wall / records, cost.cpu / records, peaks(device)
        if not isinstance(self.backbone, PlainBackbone):
            return cost, ()
        log = tuple(self.backbone.log)
        self.backbone.log.clear()
        return cost, log


@contextmanager
def _clock(device: torch.device) -> Iterator[Cost]:
    """Take the time until everything is computed."""
    cost = Cost()
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    _wait(device)
    cost.wall, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
