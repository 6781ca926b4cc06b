"""Limit how much of a GPU's memory this process may take."""

import torch

from mmke.errors import UserError

GIB = 1 << 30


def limit_memory(device: torch.device, gib: float) -> None:
    """Limit the GPU memory of this process to that of a smaller GPU.

    Raises:
        UserError: the device is no GPU, or has less memory.
    """
    if device.type != "cuda":
        raise UserError(f"--memory {gib}: {device} is no GPU; its memory cannot be limited")
    total = torch.cuda.get_device_properties(device).total_memory
    if not 0 < gib * GIB <= total:
        raise UserError(f"--memory {gib}: {device} has {total / GIB:.1f} GiB")
    torch.cuda.set_per_process_memory_fraction(gib * GIB / total, device)
