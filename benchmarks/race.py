"""Two workers at the same records, by turns, and what their answers say."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = Path(__file__).with_name("worker.py")
PUBLISHED: dict[str, dict[str, Any]] = {
    "none": {},
    "ft-llm": {"steps": 40, "rate": 1e-4},
    "ft-alignment": {"steps": 30, "rate": 1e-4},
    "ike": {"demonstrations": 25},
}
"""The published settings; those that the small backbones ship with are lighter."""


class Agreement(NamedTuple):
    """How far two sides' rows are apart: rows, those whose predicted ids differ, the largest log-probability gap."""

    rows: int
    other_ids: int
    gap: float


@dataclass(frozen=True)
class Lap:
    """One record on both sides."""

    plain: dict[str, Any]
    mmke: dict[str, Any]

    def seconds(self, side: str, clock: str, *, floor: bool = False) -> float:
        """Return what a side took, with the floor or without it."""
        taken = getattr(self, side)
        return taken[clock] + (taken["floor"].get(clock, 0.0) if floor else 0.0)  # type: ignore[no-any-return]

    def ratio(self, clock: str, *, floor: bool = False) -> float:
        """Return how many times as fast ours was."""
        return self.seconds("plain", clock, floor=floor) / self.seconds("mmke", clock, floor=floor)

    def bound(self, *, floor: bool = False) -> float:
        """Return the operations of the plain loop over those that the work needs."""
        count = self.plain["with_floor" if floor else "operations"]
        return count["plain"] / count["needed"]  # type: ignore[no-any-return]

    @property
    def agreement(self) -> Agreement:
        """Compare the rows of both sides."""
        pairs = list(zip(self.plain["rows"], self.mmke["rows"], strict=True))
        gaps = [abs(a["logprob"] - b["logprob"]) for a, b in pairs if a["logprob"] is not None]
        return Agreement(len(pairs), sum(a["ids"] != b["ids"] for a, b in pairs), max(gaps))


class Worker:
    """A process that runs records; see `worker.py`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a worker is talked to through pipes")
        self._to, self._from, self._name = process.stdin, process.stdout, process.args
        self.ready = self._hear()

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Have one record run."""
        self._to.write(json.dumps(command) + "\n")
        self._to.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        line = self._from.readline()
        if not line:
            raise RuntimeError(f"the worker {self._name} ended; its message stands above")
        heard: dict[str, Any] = json.loads(line)
        return heard


@contextmanager
def start(side: str, arguments: Sequence[str]) -> "Iterator[Worker]":
    """Start a worker and end it on leaving."""
    command = [sys.executable, str(WORKER), "--side", side, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Worker(process)
        finally:
            process.terminate()


def race(
    arguments: Sequence[str], commands: Sequence[dict[str, Any]], *, warm: bool
) -> tuple[list[Lap], dict[str, Any]]:
    """Run the same records on both sides, by turns; return the laps and what loading took."""
    with ExitStack() as stack:
        plain, mmke = (stack.enter_context(start(side, arguments)) for side in ("plain", "mmke"))
        if warm:
            plain.ask(commands[0])
            mmke.ask(commands[0])
        laps = [Lap(plain.ask(command), mmke.ask(command)) for command in commands]
        return laps, mmke.ready


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)
