"""Tables for people: one block per backbone, benchmark, hop and protocol, one line per cell, as plain texts.

What stands beneath a block is `notes.py`'s business, how it is drawn (text, Markdown, LaTeX) `table.py`'s.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from mmke.report.aggregates import HARD_LOC
from mmke.report.cells import CellSummary
from mmke.report.figures import PER_CENT, Figure
from mmke.report.notes import line_name, notes_of
from mmke.report.published import Published, published_rows
from mmke.types import ProbeKind

ABSENT = "–"
GIB = 2**30


class TableBlock(NamedTuple):
    """One table: what it is of, its columns, its lines, and what must be said beneath it.

    A line with a single text is the heading of the lines below it.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def make_blocks(cells: Sequence[CellSummary], *, published: bool, every_metric: bool) -> list[TableBlock]:
    """Return the tables of cells.

    Args:
        cells: in table order.
        published: put the printed figures beneath each editor's line, or say that there are none.
        every_metric: also the columns beyond the headline kinds and their break-downs by tag.
    """
    blocks = groupby(cells, key=lambda cell: cell.block)
    return [_block(list(block), published=published, every_metric=every_metric) for _, block in blocks]


def _block(cells: Sequence[CellSummary], *, published: bool, every_metric: bool) -> TableBlock:
    kinds = {name: kind for cell in cells for name, kind in cell.scale.kinds.items()}
    labels = {metric: _label(metric, kinds) for metric in _columns(cells, kinds, every_metric=every_metric)}
    printed = published_rows(cells) if published else [None] * len(cells)
    lines = []
    for cell, row in zip(cells, printed, strict=True):
        lines.append(_line(cell, list(labels), cells))
        if row is not None:
            lines.append(_published_line(row, list(labels)))
    first = cells[0]
    seed = f", seed {first.seed}" if first.seed and len({cell.seed for cell in cells}) == 1 else ""
    return TableBlock(
        title=f"{first.backbone} on {first.benchmark}, hop {first.hop}, protocol {first.protocol}{seed}: "
        "per cent ± standard error over records",
        header=("editor", *labels.values(), "n", "dropped", "s/edit", "peak memory"),
        lines=tuple(lines),
        notes=tuple(notes_of(cells, labels, printed if published else None)),
    )


def _label(metric: str, kinds: dict[str, ProbeKind]) -> str:
    """Return the heading of a kind's own column, with its tag if it has one; other columns keep their names."""
    name, bracket, rest = metric.partition("[")
    return f"{kinds[name].label if name in kinds else name}{bracket}{rest}"


def _columns(cells: Sequence[CellSummary], kinds: dict[str, ProbeKind], *, every_metric: bool) -> list[str]:
    present = dict.fromkeys(metric for cell in cells for metric in cell.metrics)
    headline = [name for name, kind in kinds.items() if kind.headline]
    headline += [HARD_LOC] if HARD_LOC in present else []
    if every_metric:
        return list(dict.fromkeys([*headline, *present]))
    return [column for name in headline for column in (name, *(m for m in present if m.startswith(f"{name}[")))]


def _line(cell: CellSummary, metrics: Sequence[str], cells: Sequence[CellSummary]) -> tuple[str, ...]:
    seconds = ABSENT if cell.seconds_per_edit is None else f"{cell.seconds_per_edit:.2f}"
    memory = ABSENT if cell.peak_memory_bytes is None else f"{cell.peak_memory_bytes / GIB:.1f} GiB {cell.memory}"
    figures = [_figure(cell.metrics.get(metric), cell.scale.unit(metric)) for metric in metrics]
    return (line_name(cell, cells), *figures, str(cell.n), str(cell.dropped), seconds, memory)


def _figure(figure: Figure | None, unit: str) -> str:
    if figure is None or figure.value is None:
        return ABSENT
    digits = 1 if unit == PER_CENT else 3
    value = f"{figure.value:z.{digits}f}"
    return value if figure.se is None else f"{value} ±{figure.se:.{digits}f}"


def _published_line(row: Published, metrics: Sequence[str]) -> tuple[str, ...]:
    name = "  published" if row.doubtful is None else "  published?"
    figures = [f"{row.figures[metric]:.2f}" if metric in row.figures else "" for metric in metrics]
    return (name, *figures, "", "", "", "")
