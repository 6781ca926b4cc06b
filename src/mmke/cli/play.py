"""`mmke play`: edit a model and ask it, on a page in the browser."""

from typing import Annotated

import typer

from mmke.cli import options
from mmke.cli.run import checkpoints
from mmke.threads import limit_threads
from mmke.web import HOST

PAGE = "Page"


def play(
    backbone: options.BackboneName = "smol-llava",
    edit: options.EditFolders = None,
    checkpoint: options.Checkpoints = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    threads: options.Threads = None,
    port: Annotated[int, options.port("Of the page (default: any that is free).", PAGE)] = 0,
    host: Annotated[str, options.host("the page", PAGE)] = HOST,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.", rich_help_panel=PAGE)
    ] = True,
) -> int:
    """Edit a model and ask it, on a page in the browser: before and after side by side.

    With --edit the page begins with a saved edit in the model.
    """
    limit_threads(threads)
    from mmke.web.play import PlaySettings, serve

    given = checkpoints(checkpoint or [])
    if edit:
        from mmke.edits.loading import stack

        on = stack(edit, checkpoint=next(iter(given.values()), None)).edits[0].record.on
        named = backbone if backbone.startswith(options.HF) else on.backbone
        settings = PlaySettings(named, device, dtype or on.dtype, weights, given, tuple(edit))
    else:
        settings = PlaySettings(backbone, device, dtype, weights, given)
    serve(settings, port=port, host=host, open_browser=browser)
    return 0
