"""How much memory was held: on a card by its allocator, elsewhere by the process; and how to hold less of it."""

import gc
from collections.abc import Mapping
from pathlib import Path

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


def release(device: torch.device) -> None:
    """Give a card's memory back to it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def forget_peaks(device: torch.device) -> None:
    """Begin to look for the peak anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():  # Linux
        clear.write_text("5", encoding="ascii")


def peaks(device: torch.device) -> Mapping[str, int]:
    """Return the most bytes since `forget_peaks` by kind: reserved and allocated on a card, else resident (Linux)."""
    if device.type == "cuda":
        return {
            "reserved": torch.cuda.max_memory_reserved(device),
            "allocated": torch.cuda.max_memory_allocated(device),
        }
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return {"resident": next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)}
