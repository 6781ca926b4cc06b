"""The runs of single edits, table by table: one block a backbone, benchmark, hop and protocol, with a line a cell."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from mmke.report.aggregates import HARD_LOC
from mmke.report.cells import FLOOR, CellSummary
from mmke.report.notes import MARK, line_name, notes_of
from mmke.report.page.gather import Gathered


class TableLine(NamedTuple):
    """One line of a table: a cell under the name that tells it from the others."""

    name: str
    cell: CellSummary
    source: str

    @property
    def is_floor(self) -> bool:
        """Whether it is the unedited model."""
        return self.cell.editor == FLOOR


class Block(NamedTuple):
    """One table.

    Attributes:
        lines: the floors first.
        labels: the heading of each headline column.
        more: the heading of each other column.
        notes: what must be said beneath it.
    """

    lines: tuple[TableLine, ...]
    labels: dict[str, str]
    more: dict[str, str]
    notes: tuple[str, ...]

    @property
    def first(self) -> CellSummary:
        """A cell that says what all are of."""
        return self.lines[0].cell

    @property
    def title(self) -> str:
        """What the table is of, without the protocol."""
        first = self.first
        return f"{first.backbone} on {first.benchmark}, hop {first.hop}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The results folders of its lines."""
        return tuple(dict.fromkeys(line.source for line in self.lines))

    @property
    def floor(self) -> TableLine | None:
        """The unedited model's line; of several results folders that of the first."""
        return next((line for line in self.lines if line.is_floor), None)

    @property
    def edited(self) -> tuple[TableLine, ...]:
        """The lines of editors."""
        return tuple(line for line in self.lines if not line.is_floor)


def blocks_of(gathered: Gathered) -> list[Block]:
    """Return the tables of all runs of single edits."""
    found = [(cell.block, cell, run.source) for run in gathered.runs for cell in run.cells]
    found.sort(key=lambda each: (each[0], each[1].place, each[2]))
    grouped = groupby(found, key=lambda each: each[0])
    return [_block([(cell, source) for _, cell, source in each]) for _, each in grouped]


def _block(found: Sequence[tuple[CellSummary, str]]) -> Block:
    kinds = {name: kind for cell, _ in found for name, kind in cell.scale.kinds.items()}
    present = dict.fromkeys(metric for cell, _ in found for metric in cell.metrics)
    headline = [name for name, kind in kinds.items() if kind.headline] + [HARD_LOC] * (HARD_LOC in present)
    labels = {name: kinds[name].label if name in kinds else name for name in headline}
    more = {name: _label(name, labels) for name in present if name not in labels}
    sources = list(dict.fromkeys(source for _, source in found))
    lines, notes = [], []
    for source in sources:
        cells = [cell for cell, own in found if own == source]
        about = f"{source}: " if len(sources) > 1 else ""
        notes += [about + note for note in notes_of(cells, labels, None)]
        for cell in cells:
            name = line_name(cell, cells)
            lines.append(TableLine(f"{name} ({source})" if len(sources) > 1 else name, cell, source))
    lines.sort(key=lambda line: (not line.is_floor, line.cell.place, sources.index(line.source)))
    return Block(tuple(lines), labels, more, tuple(notes))


def _label(metric: str, labels: dict[str, str]) -> str:
    name, bracket, rest = metric.partition("[")
    return f"{labels.get(name, name)}{bracket}{rest}"


def plain_name(line: TableLine) -> str:
    """Return a line's name without the mark of a note."""
    return line.name.replace(MARK, "")
