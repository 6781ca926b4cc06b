"""Seconds and peak memory of one record, phase by phase: asked before, edited, asked after."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from mmke.results.timings import Peak, Phase, Timing
from mmke.running.memory import peaks


@dataclass
class Stopwatch:
    """Times the phases of one record; on a GPU each phase ends with everything computed."""

    device: torch.device
    seconds: dict[Phase, float] = field(default_factory=lambda: {"edit": 0.0, "before": 0.0, "after": 0.0})
    peaks: dict[Phase, Peak] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Add the time spent inside to a phase, and take the peak of the GPU's memory within it."""
        self._wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        begin = time.perf_counter()
        yield
        self._wait()
        self.seconds[name] += time.perf_counter() - begin
        if self.device.type == "cuda":
            self.peaks[name] = Peak(
                torch.cuda.max_memory_reserved(self.device), torch.cuda.max_memory_allocated(self.device)
            )

    def timing(self) -> Timing:
        """Return what was measured.

        The peak is what the CUDA allocator reserved, or the process's resident set since the cell began.
        """
        if self.device.type == "cuda":
            reserved = max((peak.reserved for peak in self.peaks.values()), default=0)
            return Timing(self.seconds, reserved, "cuda reserved", self.peaks)
        return Timing(self.seconds, peaks(self.device)["resident"], "rss")

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
