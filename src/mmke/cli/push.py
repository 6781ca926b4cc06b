"""`mmke push`: results on the hub, after a yes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results.", callback=options.home)],
    hub: Annotated[str, typer.Option("--hub", metavar="ORG/NAME", help="The data set on the hub; made if it is new.")],
    yes: Annotated[bool, typer.Option("--yes", help="Send it without asking.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new data set private.")] = False,
) -> int:
    """Upload a results folder to the hub as a data set, with a card that has its tables and how they were made.

    It shows what would be sent and asks. What is sent holds the benchmark's questions, and the commands and paths as
    they were typed.
    """
    from mmke.hub import check_repo, send
    from mmke.report.sharing.parcel import parcel_of

    check_repo(hub)
    with parcel_of(folder, hub, private=private) as parcel:
        print(send(parcel, yes=yes, ask=_asked if sys.stdin is not None and sys.stdin.isatty() else None))
    return 0


def _asked(what: str) -> bool:
    print(f"{what}, with the commands and paths as they were typed? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
