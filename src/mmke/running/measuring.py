"""Seconds and peak memory of one record."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from mmke.results.timings import Phase, Timing


@dataclass
class Stopwatch:
    """Times the phases of one record; on a GPU each phase ends with everything computed."""

    device: torch.device
    seconds: dict[Phase, float] = field(default_factory=lambda: {"edit": 0.0, "before": 0.0, "after": 0.0})

    def __post_init__(self) -> None:
        """Forget the peak of earlier records."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        self._wait()
        begin = time.perf_counter()
        yield
        self._wait()
        self.seconds[name] += time.perf_counter() - begin

    def timing(self) -> Timing:
        """Return what was measured; the peak is the CUDA allocator's reserved one, or the process's resident one."""
        if self.device.type == "cuda":
            return Timing(self.seconds, torch.cuda.max_memory_reserved(self.device), "cuda reserved")
        # It never forgets: the peak is the whole process's so far. Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return Timing(self.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "rss")

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
