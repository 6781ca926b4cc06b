"""How much memory is left for a model: on a GPU, and on the machine itself."""

import re
from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
"""Linux states the free memory here; on other systems it is not known."""


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that this process may still take on a device; None where that is not known."""
    if is_elsewhere(device):
        return None
    return _free_on_gpu(device) if device.type == "cuda" else _free_on_machine()


def is_elsewhere(device: torch.device) -> bool:
    """Tell whether a device is another machine's, as skeletons can have: a GPU without a number."""
    return device.type == "cuda" and device.index is None


def _free_on_gpu(device: torch.device) -> int:
    free, total = torch.cuda.mem_get_info(device)
    allowed = torch.cuda.get_per_process_memory_fraction(device) * total - torch.cuda.memory_allocated(device)
    return int(min(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), allowed))


def _free_on_machine() -> int | None:
    if not MEMINFO.is_file():
        return None
    told = dict(re.findall(r"^(\w+):\s+(\d+) kB$", MEMINFO.read_text(encoding="utf-8"), re.MULTILINE))
    if "MemAvailable" not in told:
        return None
    return (int(told["MemAvailable"]) + int(told.get("SwapFree", 0))) << 10
