"""`mmke import`: a published checkpoint becomes one of ours."""

from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options
from mmke.cli.train import CheckpointsFolder, own_changes


def import_(
    editor: options.EditorArgument,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Such as a .pt of MEND or SERAC, or a .ckpt of KE.", callback=options.home),
    ],
    backbone: options.BackboneName,
    benchmark: Annotated[
        str,
        typer.Option(
            metavar="D",
            help="That it was trained on, such as mmke-entity.",
            autocompletion=options.names("benchmarks"),
            callback=options.expanded_name,
            rich_help_panel=options.WHAT,
        ),
    ],
    assignments: options.OwnSettings = None,
    out: CheckpointsFolder = Path("checkpoints"),
    weights: options.WeightsFolder = None,
) -> int:
    """Turn a checkpoint of the published code into one of ours; nothing that is pickled in it is run."""
    from mmke.training.importing import ImportRequest, import_checkpoint

    changes = own_changes(editor, assignments or [], None)
    request = ImportRequest(editor, file, backbone, benchmark, changes=changes, out=out, weights=weights)
    path = import_checkpoint(request)
    print(f"written: {path} ({path.stat().st_size / 1e6:,.0f} MB)")
    return 0
