"""Copying values to a GPU without waiting for the work that it still has to do."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmke.backbones.engine.taping import same

AT_ONCE = 1 << 16
"""Smaller copies are taken over by the GPU's driver at once; for larger ones it waits for its stream."""


def sent(values: Sequence[Any] | np.ndarray | Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers, an array or a tensor as a tensor on a device.

    The GPU uses it after the work that was queued before; the caller does not wait. In a step that is taken again it is
    the same tensor (`taping`).
    """
    return same(lambda: _copied(values, device, dtype))


def _copied(values: Sequence[Any] | np.ndarray | Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    # numpy reads a list of numbers in half the time.
    read = np.array(values) if isinstance(values, list | tuple) and values else values
    tensor = torch.as_tensor(read, dtype=dtype)
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    if tensor.nbytes < AT_ONCE:
        return tensor.to(device, non_blocking=True)
    copies, computing = _stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        copied = tensor.to(device, non_blocking=True)
    computing.wait_stream(copies)
    copied.record_stream(computing)
    return copied


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return a stream of the GPU that is used for copies only."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
