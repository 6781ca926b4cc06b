"""This process and those that train with it."""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import nn

from mmke.errors import UserError


@dataclass(frozen=True)
class Processes:
    """Of several processes, which one this is and where it computes; started by `accelerate launch` or `torchrun`."""

    number: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Return whether this one writes and speaks."""
        return self.number == 0

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients of all processes into each one's parameters."""
        if self.count == 1:
            return
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = reduce(own, reduction="sum")


def find_processes(device: str, *, gradient_accumulation_steps: int, alone: str | None) -> Processes:
    """Return this process among those that were started together.

    Args:
        device: that the user named; "cuda" is each process's own card.
        gradient_accumulation_steps: records of each step, which they share.
        alone: why an editor can only be trained by one process, if so.

    Raises:
        UserError: there are several and they cannot share a step.
    """
    state = PartialState(cpu=device == "cpu")
    atexit.register(state.destroy_process_group)
    if state.num_processes > 1 and alone is not None:
        raise UserError(f"{state.num_processes} processes were started, and {alone}; start one")
    if gradient_accumulation_steps % state.num_processes:
        raise UserError(
            f"{state.num_processes} processes cannot share the {gradient_accumulation_steps} records of a step; set "
            f"gradient_accumulation_steps to a multiple of {state.num_processes}, or start another number of processes"
        )
    own = f"cuda:{state.local_process_index}" if state.num_processes > 1 and device == "cuda" else device
    return Processes(state.process_index, state.num_processes, own)
