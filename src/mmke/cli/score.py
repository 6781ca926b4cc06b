"""`mmke score`: score the kept answers of a results folder again, without a model."""

from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options


def score(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)] = Path(
        "results"
    ),
    metric: options.Metrics = None,
) -> int:
    """Score kept answers again: with the metrics that a run had, or with those named.

    No model is loaded. What needs more of an answer than is kept stays as it was scored, and is named. Where nothing
    could be scored, the exit code is 2.
    """
    from mmke.running.rescoring import rescore

    any_scored = False
    for done in rescore(folder, tuple(metric or ())):
        scored = ", ".join(f"{name} ({rows} rows)" for name, rows in done.metrics.items())
        any_scored = any_scored or bool(done.metrics)
        print(f"{done.folder}: scored again: {scored or 'nothing'}")
        for name, reason in done.kept_out.items():
            print(f"  not {name}: {reason}")
    return 0 if any_scored else 2
