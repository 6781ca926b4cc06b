"""Tables for people: one block per backbone, benchmark, hop and protocol, one line per editor, as plain texts.

How a block is drawn (text, Markdown, LaTeX) is `table.py`'s business.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from mmke.report.cells import Cell
from mmke.report.figures import Figure, unit
from mmke.report.published import Published, published_rows
from mmke.types import HEADLINE_KINDS

ABSENT = "–"
LABELS: Mapping[str, str] = dict(
    zip(HEADLINE_KINDS, ("T-Loc", "I-Loc", "T-Rel", "I-Rel", "I-Gen", "Port"), strict=True)
)
GIB = 2**30


class Block(NamedTuple):
    """One table: what it is of, its columns, its lines, and what must be said beneath it."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def make_blocks(cells: Sequence[Cell], *, published: bool, every_metric: bool) -> list[Block]:
    """Return the tables of cells.

    Args:
        cells: in table order.
        published: put the printed figures beneath each editor's line, or say that there are none.
        every_metric: also the columns beyond the headline six and their break-downs by tag.
    """
    blocks = groupby(cells, key=lambda cell: (cell.backbone, cell.benchmark, cell.hop, cell.protocol))
    return [_block(list(block), published=published, every_metric=every_metric) for _, block in blocks]


def label(metric: str) -> str:
    """Return the paper's name of a headline metric, with its tag if it has one; other metrics keep theirs."""
    kind, bracket, rest = metric.partition("[")
    return f"{LABELS.get(kind, kind)}{bracket}{rest}"


def _block(cells: Sequence[Cell], *, published: bool, every_metric: bool) -> Block:
    first = cells[0]
    metrics = _columns(cells, every_metric=every_metric)
    printed = published_rows(cells) if published else [None] * len(cells)
    lines = []
    for cell, row in zip(cells, printed, strict=True):
        lines.append(_line(cell, metrics))
        if row is not None:
            lines.append(_published_line(row, metrics))
    notes = [*_unit_notes(metrics), *_unscored_notes(cells, metrics)]
    if published:
        notes += _published_notes(cells, printed)
    return Block(
        title=f"{first.backbone} on {first.benchmark}, hop {first.hop}, protocol {first.protocol}: "
        "per cent ± standard error over records",
        header=("editor", *(label(metric) for metric in metrics), "n", "dropped", "s/edit", "peak memory"),
        lines=tuple(lines),
        notes=tuple(notes),
    )


def _columns(cells: Sequence[Cell], *, every_metric: bool) -> list[str]:
    present = dict.fromkeys(metric for cell in cells for metric in cell.metrics)
    if every_metric:
        return list(dict.fromkeys([*HEADLINE_KINDS, *present]))
    return [column for kind in HEADLINE_KINDS for column in (kind, *_parts(kind, present))]


def _parts(kind: str, metrics: Iterable[str]) -> list[str]:
    return [metric for metric in metrics if metric.startswith(f"{kind}[")]


def _line(cell: Cell, metrics: Sequence[str]) -> tuple[str, ...]:
    seconds = ABSENT if cell.seconds_per_edit is None else f"{cell.seconds_per_edit:.2f}"
    memory = ABSENT if cell.peak_memory_bytes is None else f"{cell.peak_memory_bytes / GIB:.1f} GiB {cell.memory}"
    figures = [_figure(metric, cell.metrics.get(metric)) for metric in metrics]
    return (cell.editor, *figures, str(cell.n), str(cell.dropped), seconds, memory)


def _figure(metric: str, figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return ABSENT
    digits = 1 if unit(metric) == "per cent" else 3
    value = f"{figure.value:z.{digits}f}"
    return value if figure.se is None else f"{value} ±{figure.se:.{digits}f}"


def _published_line(row: Published, metrics: Sequence[str]) -> tuple[str, ...]:
    name = "  published" if row.doubtful is None else "  published?"
    figures = [f"{row.figures[metric]:.2f}" if metric in row.figures else "" for metric in metrics]
    return (name, *figures, "", "", "", "")


def _unit_notes(metrics: Sequence[str]) -> list[str]:
    nats = [label(metric) for metric in metrics if unit(metric) == "nats"]
    return [f"in nats, not per cent: {', '.join(nats)}"] if nats else []


def _unscored_notes(cells: Sequence[Cell], metrics: Sequence[str]) -> list[str]:
    """Say which figures leave records out; editors of which the same holds share a note."""
    editors: dict[str, list[str]] = {}
    for cell in cells:
        lacking = [
            f"{label(metric)} {figure.n_unscored} of {figure.n + figure.n_unscored}"
            for metric in metrics
            if (figure := cell.metrics.get(metric)) is not None and figure.n_unscored
        ]
        if lacking:
            editors.setdefault(", ".join(lacking), []).append(cell.editor)
    return [f"unscored records: {lacking} ({', '.join(names)})" for lacking, names in editors.items()]


def _published_notes(cells: Sequence[Cell], printed: Sequence[Published | None]) -> list[str]:
    first = cells[0]
    place = f"{first.backbone} on {first.benchmark}"
    if not any(printed):
        return [f"no published figure for {place}" + (f" at hop {first.hop}" if first.hop > 1 else "")]
    rows = list(zip(cells, printed, strict=True))
    notes = [f"published? ({cell.editor}): doubtful, {row.doubtful}" for cell, row in rows if row and row.doubtful]
    missing = [cell.editor for cell, row in rows if row is None]
    if missing:
        notes.append(f"no published figure for {', '.join(missing)} ({place})")
    if first.protocol != "paper":
        notes.append(f"published figures follow protocol paper; ours here follow {first.protocol}")
    return notes
