"""Holding a GPU to less memory than it has."""

import torch

from mmke.errors import UserError

GIB = 1 << 30


def limit_memory(device: torch.device, gib: float) -> None:
    """Let this process take no more of a card's memory than a smaller card has.

    Raises:
        UserError: the device is no card, or has less.
    """
    if device.type != "cuda":
        raise UserError(f"--memory {gib}: {device} is no card; its memory cannot be limited")
    total = torch.cuda.get_device_properties(device).total_memory
    if not 0 < gib * GIB <= total:
        raise UserError(f"--memory {gib}: {device} has {total / GIB:.1f} GiB")
    torch.cuda.set_per_process_memory_fraction(gib * GIB / total, device)
