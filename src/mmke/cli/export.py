"""`mmke export`: an edit as an ordinary model, or as an adapter."""

from pathlib import Path
from typing import Annotated

import typer

from mmke.cli import options
from mmke.errors import UserError
from mmke.threads import limit_threads


def export(
    edit: Annotated[Path, typer.Argument(metavar="EDIT", help="Folder of an edit.", callback=options.home)],
    to: Annotated[
        Path, typer.Option(metavar="DIR", help="The new folder.", callback=options.home, rich_help_panel=options.WHERE)
    ],
    adapter: Annotated[
        bool,
        typer.Option("--adapter", help="Write an adapter of the PEFT library.", rich_help_panel=options.HOW),
    ] = False,
    rank: Annotated[
        int | None,
        typer.Option(
            metavar="R",
            help="Rank of the adapter at most; needed where the editor changes whole matrices.",
            callback=options.number("--rank", 1),
            rich_help_panel=options.HOW,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Load what was written, and compare it.", rich_help_panel=options.HOW),
    ] = True,
    checkpoint: options.EditCheckpoint = None,
    backbone: options.EditBackbone = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    weights: options.WeightsFolder = None,
) -> int:
    """Make an ordinary model of an edit: a copy of the model's folder with the edited tensors, or an adapter.

    Editors that change weights can be exported. IKE, SERAC, MSCKE, GRACE, WISE and the gated note leave the weights
    as they are.
    """
    limit_threads(threads)
    if rank is not None and not adapter:
        raise UserError(f"--rank {rank} is of an adapter; add --adapter, or leave it out for a whole model")
    from mmke.edits.loading import stack
    from mmke.edits.opening import Where

    options.without_bars()
    stacked = stack([edit], checkpoint=checkpoint)
    where = Where(device, dtype, weights, backbone)
    if adapter:
        from mmke.edits.export.adapter import export_adapter

        made = export_adapter(stacked, where, to, rank=rank)
        for name, own in made.ranks.items():
            error = made.errors[name]
            print(
                f"{name}: rank {own}, "
                + ("exact" if error is None else f"leaves out {100 * error:.1f} % of the change")
            )
        print(f"{to}/  (peft.PeftModel.from_pretrained(model, {str(to)!r}))")
        return 0
    from mmke.edits.export.folder import export_model

    done = export_model(stacked, where, to, check=check)
    print("\n".join(f"edited: {name}" for name in done.tensors))
    print(f"largest rounding of an edited value: {done.rounding:.2g}")
    named = f"{done.loaded_as}" if done.weights is None else f"{done.loaded_as} --weights {done.weights}"
    print(f"{to}/  " + ("(from_pretrained; " if done.by_library else "(") + f"mmke: --backbone {named})")
    return 0
