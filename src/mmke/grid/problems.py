"""What of a grid cannot be made, and why: one list for all cells."""

from collections.abc import Iterable, Sequence
from textwrap import indent
from typing import NamedTuple

from mmke.grid.expand import Cell
from mmke.running.request import FLOOR


class Lacking(NamedTuple):
    """Cells that cannot be made, and why; or a part of them, by its name."""

    cells: tuple[Cell, ...]
    why: str
    what: str = ""


def listed(problems: Iterable[Lacking]) -> str:
    """Return the list for the user: each reason once, with the cells that it concerns."""
    named = [problem for problem in problems if problem.what]
    by_reason: dict[str, list[Cell]] = {}
    for problem in problems:
        if problem not in named:
            by_reason.setdefault(problem.why, []).extend(problem.cells)
    lines = [(described(cells), why) for why, cells in by_reason.items()] + [(each.what, each.why) for each in named]
    return "\n".join(f"  {what}: {indent(why, '    ').lstrip()}" for what, why in lines)


def described(cells: Sequence[Cell]) -> str:
    """Say which cells these are: how many, and the values that they have between them."""
    distinct = [cell for cell in dict.fromkeys(cells) if cell.editor != FLOOR] or list(dict.fromkeys(cells))
    axes = [
        _values([cell.editor for cell in distinct]),
        f"for {_values([cell.backbone for cell in distinct])}",
        f"on {_values([cell.benchmark for cell in distinct])}",
        f"hop {_values([str(cell.hop) for cell in distinct])}",
        _values([cell.protocol for cell in distinct]),
        f"seed {_values([str(cell.seed) for cell in distinct])}",
    ]
    schedules = [cell.schedule for cell in distinct if cell.schedule != "single"]
    axes += [_values(schedules)] if schedules else []
    many = "1 cell" if len(distinct) == 1 else f"{len(distinct)} cells"
    return f"{many} ({', '.join(axes)})"


def _values(values: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(values))
