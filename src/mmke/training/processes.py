"""Training by several processes: which one this is, on which device, and the sum of all their gradients.

Every process reads all records, takes its part of each step's, and ends with the same networks; the first one writes.
"""

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
    """This process among those that `accelerate launch` or `torchrun` started together.

    Attributes:
        number: of this process, from 0.
        count: how many there are.
        device: on which this one computes.
    """

    number: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Return whether this one writes files and prints."""
        return self.number == 0

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each parameter's gradient by its sum over all processes."""
        if self.count == 1:
            return
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = reduce(own, reduction="sum")


def find_processes(device: str, *, gradient_accumulation_steps: int, single_process_reason: str | None) -> Processes:
    """Return this process among those that were started together.

    Args:
        device: that the user named; with "cuda" each process takes a GPU of its own.
        gradient_accumulation_steps: records of one step, which the processes divide among them.
        single_process_reason: why only a single process can train the editor; None: several can.

    Raises:
        UserError: there are several and they cannot share a step.
    """
    state = PartialState(cpu=device == "cpu")
    atexit.register(state.destroy_process_group)
    if state.num_processes > 1 and single_process_reason is not None:
        raise UserError(f"{state.num_processes} processes were started, and {single_process_reason}; start one")
    if gradient_accumulation_steps % state.num_processes:
        raise UserError(
            f"{state.num_processes} processes cannot share the {gradient_accumulation_steps} records of a step; set "
            f"gradient_accumulation_steps to a multiple of {state.num_processes}, or start another number of processes"
        )
    if state.num_processes > 1 and "," in device:
        raise UserError(f"--device {device}: {state.num_processes} processes were started; give --device cuda")
    own = f"cuda:{state.local_process_index}" if state.num_processes > 1 and device == "cuda" else device
    return Processes(state.process_index, state.num_processes, own)
