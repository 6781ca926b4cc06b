"""Boards as JSON for programs, and as Markdown."""

from collections.abc import Iterator, Sequence

from mmke.counting import counted
from mmke.report.blocks import ABSENT
from mmke.report.leaderboard.boards import Board, Row
from mmke.report.leaderboard.checks import CHECKS
from mmke.report.leaderboard.entries import Entry
from mmke.report.table import json_text, rounded


def title_of(board: Board) -> str:
    """Return what a board is of."""
    return f"{board.benchmark}, hop {board.hop}, protocol {board.rules.protocol}"


def records_told(board: Board) -> str:
    """Return how many records the benchmark has, where a run says it."""
    records = board.rules.records.get(board.rules.data_revision)
    return "a number of records that no run states" if records is None else counted(records, "record")


def figure_told(entry: Entry, column: str) -> str:
    """Return a figure with its standard error."""
    figure = entry.cell.metrics.get(column)
    if figure is None or figure.value is None:
        return ABSENT
    return f"{figure.value:z.1f}" if figure.se is None else f"{figure.value:z.1f} ±{figure.se:.1f}"


def as_json(boards: Sequence[Board]) -> str:
    """Return boards as a list of objects."""
    return json_text([rounded(_plain(board)) for board in boards])


def _plain(board: Board) -> dict[str, object]:
    return {
        "benchmark": board.benchmark,
        "hop": board.hop,
        "protocol": board.rules.protocol,
        "data_revision": board.rules.data_revision,
        "records": board.rules.records.get(board.rules.data_revision),
        "checks": list(CHECKS),
        "by": board.by,
        "ranked": [row.as_dict() for row in board.ranked],
        "unranked": [row.as_dict() for row in board.unranked],
    }


def as_markdown(boards: Sequence[Board]) -> str:
    """Return boards as tables, each with the runs that have no place and why."""
    return "\n\n".join("\n".join(_lines(board)) for board in boards)


def _lines(board: Board) -> Iterator[str]:
    yield f"## {_plain_text(title_of(board))}"
    yield f"\nPer cent ± standard error over records; {records_told(board)}; ordered by {board.columns[board.by]}.\n"
    header = ("", "backbone", "editor", *board.columns.values(), "n", "s/edit", "code", "folder")
    yield _line(header)
    yield _line(("---:", "---", "---", *["---:"] * (len(board.columns) + 2), "---", "---"))
    for row in board.ranked:
        yield _line(_cells(board, row))
    if board.unranked:
        yield "\nNot ranked:\n"
        for row in board.unranked:
            cell = row.entry.cell
            why = "; ".join(row.failed.values())
            yield f"* {_plain_text(f'{cell.backbone}, {cell.editor} ({row.entry.source}): {why}')}"


def _cells(board: Board, row: Row) -> tuple[str, ...]:
    cell = row.entry.cell
    seconds = ABSENT if cell.seconds_per_edit is None else f"{cell.seconds_per_edit:.2f}"
    figures = [figure_told(row.entry, column) for column in board.columns]
    place = "floor" if row.entry.is_floor else str(row.place)
    return (place, cell.backbone, cell.editor, *figures, str(cell.n), seconds, row.code, row.entry.source)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain_text, cells))} |"


def _plain_text(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\|_*`<>[]" else sign for sign in text)
