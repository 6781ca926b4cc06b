"""`mmke status`: how far a results folder is, also while other programs write it."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmke.cli import options
from mmke.cli.progress import duration, rounded
from mmke.counting import counted
from mmke.results.status import CellStatus, Looker, Status, as_dict

EVERY = 5.0
"""Seconds between two looks."""
CLEAR = "\x1b[H\x1b[J"
"""Empties a terminal."""
UNKNOWN = "unknown"
SIGNS = {"lock": "yes", "recent": "perhaps", "no": ""}
HEADINGS = ("cell", "records", "steps", "last write", "a minute", "left", "written now")


def status(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)] = Path(
        "results"
    ),
    watch: Annotated[
        bool, typer.Option("--watch", help=f"Look again every {EVERY:.0f} seconds, until all is done; Ctrl-C ends it.")
    ] = False,
    format: Annotated[  # noqa: A002
        Literal["text", "json"], typer.Option(help="json: one line for each look.", case_sensitive=False)
    ] = "text",
) -> int:
    """Say how far a results folder is: each cell's records, its rate, the time left, and whether a program writes it.

    Works on every machine that sees the folder, and changes nothing in it. `written now` is yes where a program holds
    the folder's lock, and perhaps where no lock is seen from this machine but the cell was written in the last minutes.
    A run of several workers writes records in evaluation order: a cell may stand still while later records wait.
    """
    looker = Looker(folder)
    found = looker.look()
    _show(found, format, clear=False)
    try:
        while watch and not found.finished:
            time.sleep(EVERY)
            found = looker.look()
            _show(found, format, clear=sys.stdout.isatty())
    except KeyboardInterrupt:
        print()
    return 2 if any(cell.problem for cell in found.cells) else 0


def _show(found: Status, form: str, *, clear: bool) -> None:
    if form == "json":
        print(json.dumps(as_dict(found), ensure_ascii=False), flush=True)
        return
    print((CLEAR if clear else "") + "\n".join(lines(found)), flush=True)


def lines(found: Status) -> Iterator[str]:
    """Yield a table of the cells, what is to be said of single ones, and a line for all together."""
    table = [HEADINGS, *(_cells(cell, found.at) for cell in found.cells)]
    shown = [column for column in range(len(HEADINGS)) if column != 2 or any(row[2] for row in table[1:])]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    for row in table:
        yield "  ".join(_padded(row, column, widths) for column in shown).rstrip()
    for cell in found.cells:
        if cell.problem is not None:
            yield f"! {cell.problem}"
    yield _total(found)


def _padded(row: Sequence[str], column: int, widths: Sequence[int]) -> str:
    return row[column].ljust(widths[column]) if column in (0, 6) else row[column].rjust(widths[column])


def _cells(cell: CellStatus, now: float) -> tuple[str, ...]:
    shard = f" (shard {cell.shard})" if cell.shard else ""
    if cell.problem is not None:
        return (cell.place, "broken", "", "", "", "", "")
    if cell.last_write is None:
        return (cell.place + shard, f"0/{cell.wanted}", "", "not begun", "", "", "")
    wanted = UNKNOWN if cell.wanted is None else str(max(cell.wanted, cell.done))
    if cell.wanted is None:
        wanted += f" ({cell.used} records of the benchmark)"
    return (
        cell.place + shard,
        f"{cell.done}/{wanted}",
        "" if cell.steps is None else f"{cell.steps}/{cell.steps_wanted or UNKNOWN}",
        f"{duration(max(0.0, now - cell.last_write))} ago",
        "" if cell.per_minute is None else f"{rounded(cell.per_minute)}",
        "done" if cell.left == 0 else "" if cell.seconds_left is None else duration(cell.seconds_left),
        SIGNS[cell.writing],
    )


def _total(found: Status) -> str:
    wanted = UNKNOWN if found.wanted is None else f"{found.wanted:,}"
    told = f"{counted(len(found.cells), 'cell')}: {found.done:,} of {wanted} records"
    if found.finished:
        return f"{told}, all done"
    if not any(cell.writing != "no" for cell in found.cells):
        return f"{told}; no program is seen to write"
    if found.seconds_left is None or found.per_minute is None:
        return told
    return f"{told}, {rounded(found.per_minute)} a minute, {duration(found.seconds_left)} left at this rate"
