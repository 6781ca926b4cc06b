"""Where a command's jobs are done: in this process, in several of this machine, or by a cluster."""

from dataclasses import dataclass
from pathlib import Path

HERE = "here"
"""The address of a cluster of this machine alone, which is started for the command."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the user asked for.

    Attributes:
        count: how many workers; None: as many as there are cards or cores, and room for.
        ray: address of a Ray cluster, or `HERE`; None: plain processes of this machine.
        cards: GPUs of each worker; a fraction where several share one.
        device: "cpu", "cuda", …: what workers compute on.
        threads: of the processor, for each worker.
        folder: where workers write their logs.
    """

    count: int | None = None
    ray: str | None = None
    cards: float = 1.0
    device: str = "cpu"
    threads: int = 1
    folder: Path = Path("results")

    @property
    def elsewhere(self) -> bool:
        """Whether other machines compute: this one need not have their device, nor room for a worker."""
        return self.ray not in (None, HERE)


ALONE = WorkerSettings(count=1)
"""This process does everything."""
