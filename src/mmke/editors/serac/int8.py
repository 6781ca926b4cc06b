"""Layers that are not trained in int8, and in main memory where a GPU has no room for them.

A matrix is rounded row by row, each row under a scale of its own. Where it lies changes no value: a layer on the host
is read through at each pass, which takes a few milliseconds.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmke.backbones.weights.memory import free_memory

BESIDE = 7 << 29
"""Bytes of a GPU's memory that are left for the rest: activations, the classifier and its optimizer, and the modules
around the layers."""
PER_TRAINED = 16
"""Bytes for each trained number: itself in float32, its gradient, two of the optimizer's."""


class Int8Linear(nn.Module):
    """A linear layer whose matrix is held in int8; nothing in it is trained."""

    scale: Tensor
    weight: Tensor

    def __init__(self, linear: nn.Linear, *, on_host: bool = False) -> None:
        """Round a linear layer's matrix, and keep it beside the layer's bias or on the host."""
        super().__init__()
        whole = linear.weight.detach().float()
        scale = whole.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / 127
        rounded = (whole / scale).round().to(torch.int8)
        self.register_buffer("scale", scale)
        self.register_buffer("weight", None if on_host else rounded)
        # In a tuple, so that it stays there when the module is moved.
        self.elsewhere = (rounded.cpu().pin_memory() if whole.is_cuda else rounded,) if on_host else ()
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it, in the precision of the inputs."""
        held: Tensor = self.elsewhere[0].to(inputs.device, non_blocking=True) if self.elsewhere else self.weight
        return functional.linear(inputs, (held * self.scale).to(inputs.dtype), self.bias)


def hold_in_int8(
    layers: Sequence[nn.Module], trained: int, bring: Callable[[nn.Module], None], device: torch.device
) -> None:
    """Bring layers to a device one by one, rounded but for the last ones, which are trained."""
    numbers = sum(tensor.numel() for layer in layers[-trained:] for tensor in layer.parameters())
    for layer in layers[:-trained]:
        size = sum(tensor.numel() for tensor in layer.parameters())
        bring(layer)
        free = free_memory(device) if device.type == "cuda" else None
        # What is free now is without twice that size: the layer itself, still there in half precision.
        on_host = free is not None and free < BESIDE + PER_TRAINED * numbers - size
        for name, linear in [(n, part) for n, part in layer.named_modules() if isinstance(part, nn.Linear)]:
            owner, _, attribute = name.rpartition(".")
            setattr(layer.get_submodule(owner), attribute, Int8Linear(linear, on_host=on_host))
