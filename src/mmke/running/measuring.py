"""Seconds and peak memory of one record, phase by phase: asked before, edited, asked after."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from mmke.results.timings import Peak, Phase, Timing
from mmke.running.memory import peaks


@dataclass
class Stopwatch:
    """Times the phases of one record; on a GPU each phase ends with everything computed.

    Peaks are those of all GPUs over which the model is laid, added up.
    """

    devices: Sequence[torch.device]
    seconds: dict[Phase, float] = field(default_factory=lambda: {"edit": 0.0, "before": 0.0, "after": 0.0})
    peaks: dict[Phase, Peak] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Add the time spent inside to a phase, and take the peak of the GPUs' memory within it."""
        self._wait()
        for card in self._cards:
            torch.cuda.reset_peak_memory_stats(card)
        begin = time.perf_counter()
        yield
        self._wait()
        self.seconds[name] += time.perf_counter() - begin
        if self._cards:
            found = peaks(*self._cards)
            self.peaks[name] = Peak(found["reserved"], found["allocated"])

    def timing(self) -> Timing:
        """Return what was measured.

        The peak is what the CUDA allocator reserved, or the process's resident set since the cell began.
        """
        if self._cards:
            reserved = max((peak.reserved for peak in self.peaks.values()), default=0)
            return Timing(self.seconds, reserved, "cuda reserved", self.peaks)
        return Timing(self.seconds, peaks(*self.devices)["resident"], "rss")

    @property
    def _cards(self) -> list[torch.device]:
        return [device for device in self.devices if device.type == "cuda"]

    def _wait(self) -> None:
        for card in self._cards:
            torch.cuda.synchronize(card)
