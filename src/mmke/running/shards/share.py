"""One plan of a sharded run: which jobs it is made of, and the folders that are written for it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from mmke.protocols import Backbone
from mmke.results.finished import read_finished
from mmke.results.manifest import NOT_KNOWN, RunSettings
from mmke.results.places import floor_path, run_path
from mmke.results.rows import RecordKey
from mmke.results.run_json import read_run
from mmke.running.loading import Loaded
from mmke.running.planning import Cell, Plan
from mmke.running.request import FLOOR, Request
from mmke.running.run import check_sites, facts_of, is_finished
from mmke.running.shards.blocks import cut
from mmke.running.shards.records import Finished, Part, Records
from mmke.running.shards.streams import Streamed
from mmke.running.shards.writer import Writer, unfinished
from mmke.running.stated import run_settings
from mmke.running.written_plan import announce
from mmke.types import ScoreRow
from mmke.workers.protocols import Facts, Job
from mmke.workers.signs import signed


class _Group(NamedTuple):
    """The cells of one benchmark by their places in the plan, and the ids of their records in evaluation order.

    Blocks are cut of all of these, also of those that are finished: by their place in the order alone.
    """

    cells: Sequence[tuple[int, Cell]]
    cases: Sequence[str]

    @classmethod
    def of(cls, cells: Sequence[tuple[int, Cell]]) -> "_Group":
        return cls(cells, tuple(dict.fromkeys(key.case_id for _, cell in cells for key in cell.keys)))


@dataclass
class Share:
    """One plan among those of a run.

    Attributes:
        planned: the plan.
        backbone: a skeleton, for what run.json states and for prompts.
        request: of the plan, with every editor and checkpoint named, so that a worker makes the same plan.
        command: the command line, for run.json.
        threads: of each worker.
        device: the model of the device of all workers; `NOT_KNOWN` until the first one has said what it is.
        writers: of folders that this process writes.
        written: for each stream, by its cell's place, how many records are known to be written.
    """

    planned: Plan
    backbone: Backbone
    request: Request
    command: tuple[str, ...]
    threads: int
    device: str
    writers: dict[Path, Writer] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)
    _sign: str | None = None
    _signs: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(cls, planned: Plan, skeletons: Loaded, *, command: Sequence[str], threads: int) -> "Share":
        """Look at the backbone's skeleton and at the folders.

        Raises:
            UserError: see `run.check_sites`.
        """
        backbone = check_sites(planned, skeletons)
        announce(planned, backbone)
        devices = (run_settings(planned.request, cell, backbone).device for cell in planned.cells)
        device = next((device for device in devices if device != NOT_KNOWN), NOT_KNOWN)
        return cls(planned, backbone, spelled_out(planned), tuple(command), threads, device)

    def settings(self, cell: Cell) -> RunSettings:
        """Return everything that decides the rows of a cell."""
        settings = run_settings(self.planned.request, cell, self.backbone)
        return replace(settings, device=self.device) if settings.device == NOT_KNOWN else settings

    def refuses(self, facts: Facts) -> str | None:
        """Say why a worker must not compute for this plan: its device is another model. The first worker's decides."""
        names = self.request.device.split(",")
        its = facts.processor
        if facts.cards and names[0].startswith("cuda"):
            its = " and ".join(dict.fromkeys(facts.cards[: len(names)]))
        if self.device == NOT_KNOWN:
            self.device = its
            for writer in self.writers.values():
                writer.settings = replace(writer.settings, device=its)
        if its == self.device:
            return None
        return (
            f"it computes on {its}, the run on {self.device}, and two models do not agree to the last digit; take one "
            "of them out of the cluster, or give it an --out of its own"
        )

    def path(self, cell: Cell) -> Path:
        """Return a cell's folder."""
        return run_path(self.planned.request.out, self.settings(cell))

    def left(self) -> int:
        """Return how many records are not there yet; one of a floor that two streams share counts once."""
        left = {(self.path(cell), key) for cell in self.planned.cells for key in unfinished(self.path(cell), cell.keys)}
        return len(left)

    @property
    def cases(self) -> int:
        """Return how many records all blocks together have, finished ones too; streams have none."""
        return sum(len(group.cases) for group in self._groups())

    def jobs(self, *, behind: int = 0) -> Iterator[Job]:
        """Yield what is left to do: blocks of records, then streams; `behind`: see `blocks.cut`."""
        groups = self._groups()
        behind += sum(len(group.cases) for group in groups)
        for group in groups:
            behind -= len(group.cases)
            yield from self._blocks(group, behind=behind)
        for place, cell in enumerate(self.planned.cells):
            if not cell.streamed or self._is_finished(cell):
                continue
            self.written[place] = len(cell.keys) - len(unfinished(self.path(cell), cell.keys))
            yield Streamed(
                request=self.request,
                benchmark=cell.benchmark.name,
                editor=cell.editor.name,
                cell=place,
                settings=self.settings(cell).as_dict(),
                command=self.command,
                sign=self._signed(),
            )

    def take(self, record: Finished) -> None:
        """Write a record, or keep it until its turn comes."""
        self.writers[self.path(self.planned.cells[record.cell])].take(record)

    def give_up(self, cell: int, key: RecordKey) -> None:
        """Expect a record of a cell no more."""
        self.writers[self.path(self.planned.cells[cell])].give_up(key)

    def close(self) -> None:
        """Close the folders."""
        for writer in self.writers.values():
            writer.close()
        self._signs.close()

    def _is_finished(self, cell: Cell) -> bool:
        return is_finished(self.path(cell), cell)

    def _groups(self) -> list["_Group"]:
        """Return the cells of each benchmark, by their places in the plan, without streams."""
        alone = [(place, cell) for place, cell in enumerate(self.planned.cells) if not cell.streamed]
        return [_Group.of(list(cells)) for _, cells in groupby(alone, key=lambda each: each[1].benchmark.name)]

    def _blocks(self, group: "_Group", *, behind: int) -> Iterator[Records]:
        """Yield blocks of the records of some cells, with what is left of each cell in them."""
        cells = [(place, cell) for place, cell in group.cells if not self._is_finished(cell)]
        if not cells:
            return
        left = {place: self._claimed(cell) for place, cell in cells}
        settings = {place: self.settings(cell).as_dict() for place, cell in cells}
        floor = self._floor(cells[0][1])
        for places in cut(len(group.cases), behind=behind):
            some = frozenset(group.cases[i] for i in places)
            parts = [
                Part(place, settings[place], tuple(key for key in left[place] if key.case_id in some))
                for place, _ in cells
            ]
            parts = [part for part in parts if part.left]
            if parts:
                known = tuple(row for row in floor if row.case_id in some)
                yield Records(self.request, cells[0][1].benchmark.name, tuple(parts), known)

    def _claimed(self, cell: Cell) -> list[RecordKey]:
        """Return which records of a cell are left, and expect them; two floors of streams can share a folder."""
        path = self.path(cell)
        if path not in self.writers:
            cases = {case.id: case for case in cell.split.cases}
            facts = facts_of(self.planned.request, cell, command=self.command, threads=self.threads)
            self.writers[path] = Writer(
                self.planned.request.out, self.settings(cell), facts, self.backbone.prompt_text, cases, [], []
            )
        writer = self.writers[path]
        writer.cases |= {case.id: case for case in cell.split.cases}
        return writer.expect(cell.keys)

    def _floor(self, cell: Cell) -> list[ScoreRow]:
        """Return the floor's rows that are there already."""
        folder = floor_path(self.planned.request.out, self.settings(cell), FLOOR)
        if read_run(folder) is None:
            return []
        return [row for record in read_finished(folder, answers=True) for row in record.rows]

    def _signed(self) -> str:
        """Leave a file in the results folder, by which workers see that theirs is the same folder; return its name."""
        if self._sign is None:
            self._sign = self._signs.enter_context(signed(self.planned.request.out))
        return self._sign


def spelled_out(planned: Plan) -> Request:
    """Return the request that makes the same plan in another process, whatever is installed or lies around there."""
    request = planned.request
    checkpoints = {cell.editor.name: cell.checkpoint for cell in planned.cells if cell.checkpoint is not None}
    return replace(
        request,
        editors=tuple(dict.fromkeys(cell.editor.name for cell in planned.cells)),
        elsewhere=False,
        checkpoints={**checkpoints, **request.checkpoints},
    )
