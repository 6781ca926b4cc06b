"""`mmke leaderboard`: the runs of several results folders, ranked."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmke.cli import options
from mmke.cli.written import write_out
from mmke.counting import counted

Format = Literal["html", "json", "markdown"]
PAGE = Path("leaderboard.html")


def leaderboard(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Of results; any number.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help=f"Where it goes (default: {PAGE}; else the terminal).",
            callback=options.home,
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="How it is written.", case_sensitive=False)] = "html",  # noqa: A002
    protocol: Annotated[
        options.ProtocolName, typer.Option(help="That a run has to follow to be ranked.", case_sensitive=False)
    ] = "strict",
    by: Annotated[str, typer.Option(metavar="COLUMN", help="The column that decides the places.")] = "i_rel",
) -> int:
    """Rank the runs of any number of results folders; loads no model.

    A run is ranked when it has all records of the benchmark, was made by a clean commit or an installed version, on the
    same data and under the same protocol as the others, and has the unedited model beside it. What does not pass is
    shown with the reason.
    """
    from mmke.report.leaderboard.boards import make_boards
    from mmke.report.leaderboard.entries import read_entries
    from mmke.report.leaderboard.page import as_page
    from mmke.report.leaderboard.render import as_json, as_markdown

    entries = read_entries([options.expanded(folder) for folder in folders])
    boards = make_boards(entries, protocol=protocol, by=by)
    text = {"html": as_page, "json": as_json, "markdown": as_markdown}[format](boards)
    target = out or (PAGE if format == "html" else None)
    if target is None:
        print(text)
        return 0
    write_out(target, text)
    ranked, left = (sum(len(getattr(board, name)) for board in boards) for name in ("ranked", "unranked"))
    print(f"{target}: {counted(ranked, 'run')} ranked, {left} not, each with the reason")
    return 0
