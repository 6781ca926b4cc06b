"""Which model answers: the options that `mmke abilities` and `mmke serve` share, and what is made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmke.cli import options
from mmke.cli.run import checkpoints
from mmke.errors import UserError

if TYPE_CHECKING:
    from mmke.edits.answering import Answering

DEFAULT = "smol-llava"

Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="B",
        help="A name (mmke ls backbones), or hf: and a model's name or folder (default: smol-llava, or the edit's).",
        autocompletion=options.names("backbones"),
        callback=options.known("backbones"),
        rich_help_panel=options.WHAT,
    ),
]


def saved(
    edit: Sequence[Path] | None,
    *,
    backbone: str | None,
    checkpoint: Sequence[str] | None,
    pictures: Path | None,
    device: str,
    dtype: str | None,
    weights: str | None,
) -> "Answering":
    """Return a model with saved edits on it, or alone.

    Raises:
        UserError: an edit is broken, or is of another model.
    """
    from mmke.edits.answering import Answering
    from mmke.edits.loading import stack
    from mmke.edits.opening import Where

    given = checkpoints(list(checkpoint or []))
    where = Where(device, dtype, options.weight_source(weights), backbone)
    if not edit:
        return Answering(Where(device, dtype, options.weight_source(weights), backbone or DEFAULT))
    stacked = stack(edit, pictures=pictures, checkpoint=next(iter(given.values()), None))
    if backbone is not None and not backbone.startswith(options.HF) and backbone != stacked.on:
        raise UserError(f"--backbone {backbone}: {edit[0]} is an edit of {stacked.on}; leave --backbone out")
    return Answering(where, stacked)
