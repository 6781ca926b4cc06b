"""Loss and gradient of a record that was seen before, recorded once on a GPU and then replayed.

A step of a trained editor is a thousand small kernels, for which Python asks one by one; that takes longer than they
do. A record's second pass is taken as any other while a tape is written (`engine.taping`), and is recorded right
behind it (a CUDA graph); from the third on it is replayed: the same kernels on the same tensors. What a recording reads
of the record, such as its trunks, stays on the GPU with it. So records are recorded as long as there is room for them,
and all others are computed as before.

In: passes, each of which adds the gradient of one record. Out: the parts of the record's loss.
"""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmke.backbones.engine.replay import Place, give_back, record
from mmke.backbones.engine.taping import Tape, reading, writing

ON = True
"""Whether trainings on a GPU do so."""
FREE_AT_FIRST = 1 / 4
"""Share of a GPU's memory that has to be free for the first recording, which also takes gradients of its own, and what
a pass needs while it is computed. The recordings behind it share both."""
LEAST_FREE = 1 / 8
"""The same for each of the others, so that other records and validations find room."""

Pass = Callable[[], Mapping[str, Tensor]]
"""Computes a record's loss, adds its gradient to that of the parameters, and returns the parts of the loss without
gradient."""

logger = logging.getLogger(__name__)


@dataclass
class Recorded:
    """The pass of one record.

    Attributes:
        graph: the recording.
        tape: what it reads; it lies where the recording looks for it.
        trained: the parameters that it adds a gradient to.
        names: of the parts of the loss that it computes on the GPU.
        figures: where it writes these, the last of them.
        others: the other parts, which are the same each time.
    """

    graph: Any
    tape: Tape
    trained: Sequence[nn.Parameter]
    names: Sequence[str]
    figures: Sequence[Tensor]
    others: Mapping[str, Tensor]

    def run(self) -> Mapping[str, Tensor]:
        """Replay it."""
        self.graph.replay()
        # The next recording that is replayed may write where this one's figures lie.
        return {**dict(zip(self.names, self.figures[-1].clone().unbind(), strict=True)), **self.others}


class Recorder:
    """The recordings of one training."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        """Take all parameters that are trained; they lie on one GPU."""
        self.recorded: dict[Hashable, Recorded] = {}
        self.open = True
        self._parameters = list(parameters)
        self._device = self._parameters[0].device
        self._place: Place | None = None
        self._met: set[Hashable] = set()
        self._gradients: dict[nn.Parameter, Tensor] = {}

    def take(self, name: Hashable, one: Pass) -> Mapping[str, Tensor]:
        """Take the pass of the record of this name: by its recording where there is one."""
        recorded = self.recorded.get(name)
        if recorded is not None:
            for parameter in recorded.trained:
                self._lend(parameter)
            return recorded.run()
        if name not in self._met or not self._has_room():
            self._met.add(name)
            return one()
        return self._record(name, one)

    def close(self) -> None:
        """Forget all recordings, and give their memory back."""
        if self.recorded and self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            self.recorded.clear()
            give_back()
        self.recorded.clear()
        self._gradients.clear()

    def _has_room(self) -> bool:
        if self.open and self._device.type == "cuda":
            free, whole = torch.cuda.mem_get_info(self._device)
            if free < (LEAST_FREE if self.recorded else FREE_AT_FIRST) * whole:
                self._stop(f"{free / 2**30:.1f} GiB of the GPU's memory are free")
        return self.open

    def _stop(self, why: str) -> None:
        self.open = False
        logger.info("%d records are recorded, the others are computed as they are (%s)", len(self.recorded), why)

    def _record(self, name: Hashable, one: Pass) -> Mapping[str, Tensor]:
        """Take a pass, and record it."""
        before = {parameter: parameter.grad for parameter in self._parameters}
        for parameter in self._parameters:
            parameter.grad = None
        tape = Tape()
        with writing(tape):
            figures = one()
        own = {parameter: parameter.grad for parameter in self._parameters}
        trained = [parameter for parameter, gradient in own.items() if gradient is not None]
        try:
            for parameter in trained:
                parameter.grad = self._gradient(parameter)
            recorded = self._recording(tape, trained, one)
        except torch.OutOfMemoryError:
            recorded = None
            self._stop("no memory was left for one more")
        if recorded is not None:
            self.recorded[name] = recorded
        for parameter in self._parameters:
            parameter.grad = _sum(before[parameter], own[parameter])
        return figures

    def _gradient(self, parameter: nn.Parameter) -> Tensor:
        """Return where recordings add to a parameter's gradient."""
        if parameter not in self._gradients:
            self._gradients[parameter] = torch.zeros_like(parameter, requires_grad=False)
        return self._gradients[parameter]

    def _lend(self, parameter: nn.Parameter) -> None:
        """Put a parameter's gradient there, where it keeps its value; it is zero where there was none in this step."""
        kept = self._gradient(parameter)
        if parameter.grad is None:
            kept.zero_()
        elif parameter.grad is not kept:
            kept.copy_(parameter.grad)
        parameter.grad = kept

    def _recording(self, tape: Tape, trained: Sequence[nn.Parameter], one: Pass) -> Recorded | None:
        """Record a pass without running it; None where it cannot be."""
        if self._place is None:
            self._place = Place.on(self._device)
        names: list[str] = []
        found: list[Tensor] = []
        others: dict[str, Tensor] = {}

        def step() -> None:
            with reading(tape):
                parts = one()
            others.update({name: part for name, part in parts.items() if part.device != self._device})
            names[:] = [name for name in parts if name not in others]
            found.append(torch.stack([parts[name].double() for name in names]))

        graph = record(step, self._device, self._place)
        if graph is None:
            self._stop("a step cannot be recorded")
            return None
        return Recorded(graph, tape, trained, names, found, others)


def _sum(before: Tensor | None, added: Tensor | None) -> Tensor | None:
    if before is None or added is None:
        return before if added is None else added
    return before.add_(added)
