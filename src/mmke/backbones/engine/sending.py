"""Sending values to a device without waiting for what it still computes."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 1 << 16
"""Bytes that a card's driver takes over at once; with more it waits until the stream of the copy comes to it."""


def sent(values: Sequence[Any] | np.ndarray | Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers, an array or a tensor as a tensor on a device.

    A card computes with it when it is done with what it was asked before; whoever asks goes on meanwhile.
    """
    tensor = torch.as_tensor(values, dtype=dtype)
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    if tensor.nbytes < AT_ONCE:
        return tensor.to(device, non_blocking=True)
    beside, here = _stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(beside):
        there = tensor.to(device, non_blocking=True)
    here.wait_stream(beside)
    there.record_stream(here)
    return there


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of a card that does nothing but copy."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
