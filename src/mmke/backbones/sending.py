"""Sending values to a device without waiting for what it still computes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def sent(values: Sequence[Any] | np.ndarray | Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers, an array or a tensor as a tensor on a device.

    A card takes the copy when it is done with what it was asked before; whoever asks goes on meanwhile. From memory
    that is not pinned, as all of ours, the driver has read the values when the call returns.
    """
    return torch.as_tensor(values, dtype=dtype).to(device, non_blocking=device.type == "cuda")
