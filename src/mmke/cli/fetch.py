"""`mmke fetch`: data and weights from the hub."""

from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options


def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="mmke: the published benchmark; llava-1.5-7b, minigpt4-7b, blip2-opt-2.7b, hf:NAME: weights.",
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where to (default: data here, weights in hugging_cache).", callback=options.home
        ),
    ] = None,
) -> int:
    """Download data or weights. A download that was cut off continues with the same command."""
    from mmke.fetching import fetch as bring

    print(f"complete: {bring(name, to)}")
    return 0
