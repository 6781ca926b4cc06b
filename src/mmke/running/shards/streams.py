"""One stream: what one worker does from its first edit to its last, since each edit goes on from the one before.

In: the request, and the stream's cell. Out: rows, steps, states and the saved session, which the worker itself writes
into the stream's folder: nobody else does, and a saved session is as large as what was edited. So the results folder
has to be one that every worker sees. A stream whose worker was lost goes on from what it saved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from mmke.running.execution import ChangedBackboneError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run_cell
from mmke.running.shards.records import Void, check_same, floor_of, job_of
from mmke.workers.protocols import Desk
from mmke.workers.signs import check_signed


class Scored(NamedTuple):
    """So many records of a stream are written; `cell` is the place of its cell in the plan."""

    cell: int
    records: int


@dataclass(frozen=True)
class Streamed:
    """A stream; a `Job`.

    Attributes:
        request: of the run, with every editor and checkpoint named.
        benchmark: its name.
        editor: its name.
        cell: its place in the plan.
        settings: see `records.Part`.
        command: the command line, for run.json.
        sign: name of a file in the results folder, by which a worker sees that it is the same folder.
        tries: how many workers have been lost with it.
    """

    request: Request
    benchmark: str
    editor: str
    cell: int
    settings: Mapping[str, Any]
    command: tuple[str, ...]
    sign: str
    tries: int = 0

    @property
    def name(self) -> str:
        """Say which stream it is."""
        return f"{self.benchmark}: {self.editor}, order seed {self.settings.get('order_seed')}"

    @property
    def part_of(self) -> str:
        """Return a name that no job needs."""
        return self.name

    @property
    def needs(self) -> frozenset[str]:
        """Return the floor of the same benchmark: its scores stand in the stream's rows."""
        return frozenset({floor_of(self.request, self.benchmark)})

    def do(self, desk: Desk) -> None:
        """Edit and ask from the first record to the last.

        Raises:
            NotThisWorkerError: this worker would write other rows than were asked for, or does not see the folder.
            ChangedBackboneError: the editor has changed the backbone.
            UserError: too little memory, a broken checkpoint.
        """
        check_signed(self.request.out, self.sign, what="streams")
        planned = desk.keep("plan", self.request, lambda: plan(self.request))
        job, cell = job_of(desk, planned, self.benchmark), planned.cells[self.cell]
        check_same(self.request, cell, job, self.settings)
        written = count(1)
        try:
            run_cell(
                self.request,
                job,
                cell,
                command=self.command,
                on_record=lambda: desk.send(Scored(self.cell, next(written))),
            )
        except ChangedBackboneError:
            desk.send(Void(self.cell))
            raise
