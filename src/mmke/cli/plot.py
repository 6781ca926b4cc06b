"""`mmke plot`: the forgetting curves of a results folder's streams, as a picture."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmke.cli import options


def plot(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)] = Path(
        "results"
    ),
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="A file that ends in .svg or .png.", callback=options.home)
    ] = Path("curves.svg"),
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A column such as i_rel, one panel each; may be repeated. Without: the headline kinds.",
            show_default=False,
        ),
    ] = None,
    curve: Annotated[
        Literal["checkpoints", "gaps"], typer.Option(help="By edits in the model, or by edits after the case's own.")
    ] = "checkpoints",
) -> int:
    """Draw what streams keep while edits add up: a line an editor, the floor, the range over orders.

    Needs `pip install 'mmke[report]'`.
    """
    from mmke.report.streams.plot import save_plot
    from mmke.report.streams.summaries import read_streams

    save_plot(read_streams(folder), out, columns=column or (), curve=curve)
    print(out)
    return 0
