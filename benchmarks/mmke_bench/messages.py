"""What it costs to start a worker, to hand over what it sends, and to end it: a plain process beside a Ray actor.

    python -m mmke_bench.messages --rows results/smol-llava/mini-entity/hop1/strict/seed0/ft-llm

The worker sends one record of that folder many times, as a run does when a record is done, with a pause between two in
which a run would compute.
"""

import argparse
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmke.results.finished import read_finished
from mmke.workers.opening import open_pool
from mmke.workers.protocols import Desk, Done, Pool, Result
from mmke.workers.settings import HERE, WorkerSettings

PAUSE = 0.02
"""Seconds between two records."""


@dataclass(frozen=True)
class Send:
    """A `Job` that sends a record many times."""

    record: Any
    times: int
    name: str = "send"
    part_of: str = "send"
    needs: frozenset[str] = frozenset()

    def do(self, desk: Desk) -> None:
        """Send."""
        for _ in range(self.times):
            desk.send(self.record)
            time.sleep(PAUSE)


def measure(name: str, pool: AbstractContextManager[Pool], job: Any) -> None:
    """Print what one worker of a pool costs."""
    began = time.perf_counter()
    with pool as workers:
        workers.next()
        ready, before = time.perf_counter(), time.process_time()
        workers.give(0, job)
        while not isinstance(event := workers.next(), Done):
            if not isinstance(event, Result):
                raise TypeError(f"{event} in place of a result")
        done = time.perf_counter()
        each = (time.process_time() - before) / job.times
    ended = time.perf_counter()
    print(
        f"{name}: start {ready - began:.1f} s, {each * 1e3:.2f} ms of this process a record, end {ended - done:.1f} s"
    )


def main() -> None:
    """Measure both, twice in turns."""
    from mmke_bench import messages  # noqa: PLW0406 - as a program it is another module than in the workers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="the folder of a cell that has been run")
    parser.add_argument("--times", type=int, default=500, help="how often a record is sent (500)")
    asked = parser.parse_args()
    job = messages.Send(next(iter(read_finished(asked.rows, answers=True))), asked.times)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            measure("process", open_pool(WorkerSettings(folder=Path(folder)), 1), job)
            measure("Ray", open_pool(WorkerSettings(folder=Path(folder), ray=HERE), 1), job)


if __name__ == "__main__":
    main()
