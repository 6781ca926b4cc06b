"""`mmke edit`: edit a model and keep the edit as a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmke.cli import options
from mmke.cli.progress import progress
from mmke.counting import counted
from mmke.errors import UserError
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke.edits.applying import Heard

SHOWN = 10
"""Edits whose answers are printed."""


def edit(
    edits: Annotated[
        str,
        options.edits_file(options.WHAT),
    ],
    editor: Annotated[
        str,
        options.one_editor(options.WHAT),
    ] = "ft-llm",
    backbone: options.BackboneName = "smol-llava",
    limit: Annotated[
        int,
        options.first_edits(options.WHAT),
    ] = 0,
    data: options.Data = None,
    protocol: options.Protocol = "strict",
    batch: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Edits, or records, that are made together; the next ones go on top.",
            callback=options.number("--batch", 1),
            rich_help_panel=options.HOW,
        ),
    ] = 1,
    assignments: options.OwnSettings = None,
    settings: options.SettingsFile = None,
    checkpoint: options.Checkpoints = None,
    seed: options.Seed = 0,
    out: options.NewEdit = Path("my-edit"),
    embed: options.Embed = False,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.Weights = None,
) -> int:
    """Edit a model, and keep the edit as a folder.

    The folder holds what was edited, with which editor and settings, on which weights, and the result. mmke ask, play
    and run take it with --edit, and mmke export makes an ordinary model of it.
    """
    limit_threads(threads)
    from mmke.cli.run import checkpoints
    from mmke.cli.train import own_changes
    from mmke.edits.given import read_given
    from mmke.types import PROTOCOLS

    changes = own_changes(editor, assignments or [], settings)
    given = read_given(edits, switches=PROTOCOLS[protocol], data=data, limit=limit, batch=batch)
    from mmke.edits.applying import make, plan
    from mmke.running.request import Request

    options.without_bars()
    request = Request(
        backbone=backbone,
        editors=(editor,),
        benchmarks=(),
        protocol=protocol,
        changes={editor: changes},
        checkpoints=checkpoints(checkpoint or []),
        device=device,
        dtype=dtype,
        weights=options.weight_source(weights),
        seed=seed,
    )
    planned = plan(request, editor, given, out=out, embed=embed)
    limit_threads(threads)
    with progress(len(given.batches)) as bar:
        record, heard = make(planned, on_batch=bar.step)
    for each in heard[:SHOWN]:
        show(each)
    if len(heard) > SHOWN:
        print(f"… and {len(heard) - SHOWN} more")
    print(f"\n{counted(len(record.edits), 'edit')} in {out}/  (mmke ask --edit {out} QUESTION --image FILE)")
    return 0


def show(heard: "Heard") -> None:
    """Print an edit with what the model wrote before and after."""
    from mmke.edits.telling import shown

    print(f"{shown(heard.edit.query.text)}\n  target: {shown(heard.edit.target)}")
    print(f"  before: {shown(heard.before)}\n  after:  {shown(heard.after)}")


def check_edits_named(folders: list[Path] | None) -> list[Path]:
    """Return the edits that a command was given.

    Raises:
        UserError: there is none.
    """
    if not folders:
        raise UserError("name an edit with --edit FOLDER; mmke edit makes one, and mmke edits list shows those here")
    return folders
