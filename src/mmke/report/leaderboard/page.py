"""Boards as a page: one file, sortable, without anything from elsewhere."""

from collections.abc import Sequence
from typing import Any

from mmke.report.leaderboard.boards import Board, Row
from mmke.report.leaderboard.checks import CHECKS
from mmke.report.leaderboard.render import figure_told, records_told, title_of
from mmke.report.page.standalone import render_page


def as_page(boards: Sequence[Board]) -> str:
    """Return the page's text.

    Raises:
        UserError: jinja2 is not installed.
    """
    checks = {name: (check.__doc__ or "").partition("\n")[0] for name, check in CHECKS.items()}
    return render_page(
        "leaderboard.html",
        styles=["leaderboard.css"],
        scripts=["sorting.js"],
        boards=[_shown(board, number) for number, board in enumerate(boards)],
        checks=checks,
    )


def _shown(board: Board, number: int) -> dict[str, Any]:
    return {
        "id": f"board{number}",
        "title": title_of(board),
        "records": records_told(board),
        "revision": board.rules.data_revision[:12],
        "columns": board.columns,
        "by": board.by,
        "ranked": [_row(board, row) for row in board.ranked],
        "unranked": [_row(board, row) for row in board.unranked],
    }


def _row(board: Board, row: Row) -> dict[str, Any]:
    cell, run = row.entry.cell, row.entry.run
    figures = {column: cell.metrics.get(column) for column in board.columns}
    return {
        "place": row.place,
        "floor": row.entry.is_floor,
        "backbone": cell.backbone,
        "editor": cell.editor + (f", seed {cell.seed}" if cell.seed else ""),
        "figures": [
            {
                "text": figure_told(row.entry, column),
                "value": None if figure is None else figure.value,
                "gain": None if figure is None else figure.gain,
            }
            for column, figure in figures.items()
        ],
        "n": cell.n,
        "seconds": cell.seconds_per_edit,
        "device": run.get("device"),
        "code": row.code,
        "source": row.entry.source,
        "failed": row.failed,
    }
