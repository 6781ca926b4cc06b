"""`mmke --version`."""

from importlib import metadata
from typing import Annotated

import typer


def version() -> str:
    """Return the version of the installed package; of a source tree that is not installed, that it is one."""
    try:
        return metadata.version("mmke")
    except metadata.PackageNotFoundError:
        return "(a source tree that is not installed)"


def _show(asked: bool) -> bool:
    if asked:
        print(f"mmke {version()}")
        raise typer.Exit
    return asked


def root(
    asked: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""
