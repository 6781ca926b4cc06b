"""`mmke edits`: list edits, show one, compare two, put several into one, take some out again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmke.cli import options
from mmke.counting import counted
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke.edits.opening import Where

edits = typer.Typer(help="List, show and compare edits that were saved; stack them, and take some out again.")

Folder = Annotated[Path, typer.Argument(metavar="EDIT", help="Folder of an edit.", callback=options.home)]


@edits.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to look.", callback=options.home)] = Path(),
) -> int:
    """List the edits in a folder and in those within it; a broken one says why."""
    from mmke.edits.telling import listed

    print("\n".join(listed(folder)))
    return 0


@edits.command("show")
def show(edit: Folder) -> int:
    """Show what an edit holds: its model, editor, settings, and every edit with its number."""
    from mmke.edits.record import read_record
    from mmke.edits.telling import described

    print("\n".join(described(edit, read_record(edit))))
    return 0


@edits.command("diff")
def diff(
    edit: Folder,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Another.", callback=options.home)],
) -> int:
    """Show in what two edits differ: models, settings, edits, and how far their tensors lie apart."""
    from mmke.edits.record import read_record
    from mmke.edits.telling import compared

    records = [read_record(each) for each in (edit, other)]
    print("\n".join(compared((edit, other), records)))
    from mmke.edits.distance import apart

    print("\n".join(apart((edit, other), records)))
    return 0


@edits.command("stack")
def stack(
    edit: Annotated[list[Path], typer.Argument(metavar="EDIT…", help="Two or more, the lowest first.")],
    out: options.NewEdit,
    embed: options.Embed = False,
    pictures: options.PicturesFolder = None,
    checkpoint: options.EditCheckpoint = None,
    backbone: options.EditBackbone = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.Weights = None,
) -> int:
    """Write several edits as one: the first as it is, the others made again on top, one after the other.

    The result has the bits of one session that made them all in this order.
    """
    limit_threads(threads)
    from mmke.edits.applying import join
    from mmke.edits.loading import stack as read_stack

    stacked = read_stack([options.expanded(each) for each in edit], pictures=pictures, checkpoint=checkpoint)
    where = _where(device, dtype, weights, backbone)
    record = join(stacked, where, out, embed=embed)
    print(f"{counted(len(record.edits), 'edit')} in {out}/")
    return 0


@edits.command("drop")
def drop(
    edit: Folder,
    number: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="Of edits, as mmke edits show has them.")],
    out: options.NewEdit,
    embed: options.Embed = False,
    pictures: options.PicturesFolder = None,
    checkpoint: options.EditCheckpoint = None,
    backbone: options.EditBackbone = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.Weights = None,
) -> int:
    """Take edits out: the others are made again on the unedited model, in their order, and written as a new edit.

    The result has the bits of a session that never made them.
    """
    limit_threads(threads)
    from mmke.edits.applying import drop as drop_edits
    from mmke.edits.loading import stack as read_stack

    stacked = read_stack([edit], pictures=pictures, checkpoint=checkpoint)
    where = _where(device, dtype, weights, backbone)
    record = drop_edits(stacked, number, where, out, embed=embed)
    print(f"{counted(len(record.edits), 'edit')} in {out}/")
    return 0


def _where(device: str, dtype: str | None, weights: str | None, backbone: str | None) -> "Where":
    """Return where the model is loaded: as when the edit was made, unless an option says otherwise."""
    from mmke.edits.opening import Where

    options.without_bars()
    return Where(device, dtype, options.weight_source(weights), backbone)
