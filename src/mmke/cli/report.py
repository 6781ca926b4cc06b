"""`mmke report`: one page to look at, or its plots alone."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmke.cli import options
from mmke.cli.written import write_out
from mmke.counting import counted

Format = Literal["html", "svg", "png", "pdf"]
PAGE = Path("report.html")
PLOTS = Path("plots")


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Folders of results; any number.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help=f"The page (default: {PAGE}). For plots: a folder (default: {PLOTS}), or a file if there is one plot.",
            callback=options.home,
        ),
    ] = None,
    format: Annotated[  # noqa: A002
        Format, typer.Option(help="html: the page; else the plots alone, for a paper.", case_sensitive=False)
    ] = "html",
    pictures: Annotated[
        Literal["thumbs", "none"], typer.Option(help="thumbs: each picture once, small.", case_sensitive=False)
    ] = "thumbs",
    records: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="How many records of each benchmark the page shows; 0: all.",
            callback=options.number("--records", 0),
        ),
    ] = 60,
) -> int:
    """Make a page to look at: tables, plots, every record, and how it was run. No model is loaded.

    The page is one file that needs no network. Several folders stand side by side, with paired differences. Needs
    `pip install 'mmke[report]'`.
    """
    from mmke.report.charts.files import write_plots
    from mmke.report.page.gather import gather
    from mmke.report.page.report import make_report

    gathered = gather([options.expanded(folder) for folder in folders])
    for line in gathered.left_out:
        print(f"left out: {line}")
    if format != "html":
        for file in write_plots(gathered, out or PLOTS, format):
            print(file)
        return 0
    target = out or PAGE
    text = make_report(gathered, version=version("mmke"), pictures=pictures == "thumbs", most=records)
    write_out(target, text)
    size = target.stat().st_size / 1e6
    print(f"{target}: {size:.1f} MB, {counted(len(gathered.runs), 'run')}; open it in a browser")
    return 0
