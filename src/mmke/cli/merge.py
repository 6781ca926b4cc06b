"""`mmke merge`: put the parts of a run together that `mmke run --shard I/N` wrote."""

from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options
from mmke.counting import counted
from mmke.results.merging import merge as put_together


def merge(
    parts: Annotated[
        list[Path], typer.Argument(metavar="PART...", help="The --out of every shard of one run, in any order.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the whole goes: a new folder.", callback=options.home)
    ],
) -> int:
    """Put the parts of a run together: the same files that one process would have written.

    All parts have to be there and finished. What --out holds at the end is an ordinary results folder; the parts stay
    as they are, and can be deleted afterwards.
    """
    merged = put_together([options.expanded(part) for part in parts], out)
    print(
        f"{out}: {counted(sum(merged.records.values()), 'record')} in {counted(len(merged.records), 'cell')} of "
        f"{counted(len(parts), 'shard')}{'' if merged.new else ', which were there already'}  (mmke table {out})"
    )
    return 0
