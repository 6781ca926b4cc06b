"""`mmke table`: tables of a results folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmke.cli import options

Format = Literal["text", "json", "csv", "latex", "markdown"]


def table(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)] = Path(
        "results"
    ),
    format: Annotated[Format, typer.Option(help="How the table is written.", case_sensitive=False)] = "text",  # noqa: A002
    by: Annotated[
        str | None, typer.Option(metavar="TAG", help="Break every figure down by a tag, such as rephrase_style.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every metric, not only the published six.")] = False,  # noqa: A002
    published: Annotated[bool, typer.Option("--published", help="Put the paper's figures beside ours.")] = False,
) -> int:
    """Make tables of a results folder; loads no model."""
    from mmke.report.cells import read_cells
    from mmke.report.table import render

    print(render(read_cells(folder, by=by), format, published=published, every_metric=all))
    return 0
