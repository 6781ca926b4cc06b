"""The most that a GPU does a second, measured: a large matrix product in half precision, a large copy in memory."""

import statistics
from collections.abc import Callable
from typing import NamedTuple

import torch

SIDE = 8192
BYTES = 1 << 30


class Ceilings(NamedTuple):
    """Multiply-adds a second in float16, and bytes a second read and written."""

    multiply_adds: float
    bytes: float


def measure_ceilings(device: torch.device) -> Ceilings:
    """Measure a GPU; takes half a second and 2 GiB of its memory."""
    one, other = (torch.randn(SIDE, SIDE, device=device, dtype=torch.float16) for _ in range(2))
    source = torch.randint(0, 255, (BYTES,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    product = _seconds(lambda: torch.mm(one, other))
    copy = _seconds(lambda: target.copy_(source))
    return Ceilings(SIDE**3 / product, 2 * BYTES / copy)


def _seconds(function: Callable[[], object], times: int = 20) -> float:
    """Return the median seconds of a function, over some calls."""
    taken: list[float] = []
    for _ in range(times):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        function()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(taken)
