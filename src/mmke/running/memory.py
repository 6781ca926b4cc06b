"""Peak memory: on a GPU the allocator's, elsewhere the process's resident set.

Neither falls by itself when something ends: the allocator keeps freed blocks, and so does the C library. Whoever
measures a part first gives back what is free (`release`) and begins to look for the peak anew (`forget_peaks`).
"""

import ctypes
import gc
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch


def release(*devices: torch.device) -> None:
    """Give free memory back: to the GPUs, and on Linux to the system."""
    gc.collect()
    if _are_cards(devices):
        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)


def forget_peaks(*devices: torch.device) -> None:
    """Begin to look for the peak anew."""
    if _are_cards(devices):
        # Before anything was computed there, the library has no counters to reset.
        torch.cuda.init()  # type: ignore[no-untyped-call]
        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    try:
        clear.write_text("5", encoding="ascii")
    except OSError:  # not Linux, or a container that hides it: the peak is then the whole process's so far
        return


def peaks(*devices: torch.device) -> Mapping[str, int]:
    """Return the most bytes since `forget_peaks` by kind: reserved and allocated on all GPUs, else resident."""
    if _are_cards(devices):
        return {
            "reserved": sum(map(torch.cuda.max_memory_reserved, devices)),
            "allocated": sum(map(torch.cuda.max_memory_allocated, devices)),
        }
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    # Without that file it is the peak since the process began. Linux counts in KiB, macOS in bytes.
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"resident": next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), whole)}


def _are_cards(devices: Sequence[torch.device]) -> bool:
    return any(device.type == "cuda" for device in devices)
