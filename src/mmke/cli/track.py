"""`mmke track`: a results folder in an experiment tracker."""

from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options


def track(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)],
    to: Annotated[
        str,
        typer.Option(
            metavar="TRACKER",
            help="A name (mmke ls trackers).",
            autocompletion=options.names("trackers"),
            callback=options.known("trackers"),
        ),
    ],
    project: Annotated[str, typer.Option(metavar="NAME", help="Under which the tracker shows the runs.")] = "mmke",
) -> int:
    """Send the figures of a results folder to TensorBoard, Weights & Biases or Trackio; loads no model.

    Every run becomes one run there, with its settings, final figures and, of a stream, its curves.
    """
    from mmke.trackers.sending import open_tracker
    from mmke.trackers.sending import track as send

    for seen in send(open_tracker(to, project=project, folder=folder), [folder]):
        print(seen)
    return 0
