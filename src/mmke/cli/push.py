"""`mmke push`: results, or an edit, on the hub, after a yes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of results, or of an edit.", callback=options.home)],
    hub: Annotated[str, typer.Option("--hub", metavar="ORG/NAME", help="On the hub; made if it is new.")],
    yes: Annotated[bool, typer.Option("--yes", help="Send it without asking.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new one private.")] = False,
) -> int:
    """Upload a results folder to the hub as a data set, with a card that has its tables and how they were made.

    Or an edit, as a model with a card that says what was edited, with its embedded pictures.

    It shows what would be sent and asks. What is sent holds the benchmark's questions, and the commands and paths as
    they were typed.
    """
    from mmke.hub import check_repo, send
    from mmke.report.sharing.parcel import parcel_of

    check_repo(hub)
    from mmke.edits.pushing import is_edit, parcel_of_edit

    ask = _asked if sys.stdin is not None and sys.stdin.isatty() else None
    if is_edit(folder):
        with parcel_of_edit(folder, hub, private=private) as parcel:
            print(send(parcel, yes=yes, ask=ask and _asked_of_edit))
        return 0
    with parcel_of(folder, hub, private=private) as parcel:
        print(send(parcel, yes=yes, ask=ask))
    return 0


def _asked(what: str) -> bool:
    return _yes(f"{what}, with the commands and paths as they were typed?")


def _asked_of_edit(what: str) -> bool:
    return _yes(f"{what}, with its questions, answers and embedded pictures?")


def _yes(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
