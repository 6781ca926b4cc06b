"""`mmke serve`: a model behind an OpenAI-compatible endpoint, with saved edits in force."""

from typing import Annotated

import typer

from mmke.cli import answering, options
from mmke.errors import UserError
from mmke.threads import limit_threads
from mmke.web import HOST
from mmke.web.serve import PORT

ENDPOINT = "Endpoint"


def serve(
    edit: options.EditFolders = None,
    backbone: answering.Backbone = None,
    checkpoint: options.Checkpoints = None,
    pictures: options.PicturesFolder = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    weights: options.Weights = None,
    threads: options.Threads = None,
    port: Annotated[int, options.port("Of the endpoint; 0: any that is free.", ENDPOINT)] = PORT,
    host: Annotated[str, options.host("the model", ENDPOINT)] = HOST,
    key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            envvar="MMKE_API_KEY",
            help="What requests carry (default: a random one, which is printed).",
            rich_help_panel=ENDPOINT,
        ),
    ] = None,
) -> int:
    """Serve a model as OpenAI's chat completions, with saved edits in force, so that other programs can ask it.

    Two models can be asked: the edited one, by the name of the edit's folder, and the unedited one, by its own.
    """
    limit_threads(threads)
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key and key):
        raise UserError("--api-key: give visible ASCII characters, which a header can hold")
    from mmke.web.serve import serve as serve_model

    options.without_bars()
    model = answering.saved(
        edit,
        backbone=backbone,
        checkpoint=checkpoint,
        pictures=pictures,
        device=device,
        dtype=dtype,
        weights=weights,
    )
    model.check()
    limit_threads(threads)
    serve_model(model, edits=tuple(edit or ()), key=key, port=port, host=host)
    return 0
