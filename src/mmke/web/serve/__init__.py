"""A model behind an OpenAI-compatible endpoint, with edits in force: `mmke serve`.

`asks.py` says which requests are understood and refuses the others, `replies.py` makes answers and errors in OpenAI's
shape, `service.py` asks the model in one thread, `routes.py` puts them together. The session itself answers, so that
an editor's gate or memory takes part.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mmke.errors import UserError
from mmke.web import HOST

if TYPE_CHECKING:
    from mmke.edits.answering import Answering

PORT = 8000


def serve(answering: "Answering", *, edits: tuple[Path, ...], key: str | None, port: int, host: str = HOST) -> None:
    """Serve until Ctrl-C.

    Args:
        answering: the model with what is edited in it, checked.
        edits: the folders of the edits in force, after which the edited model is called.
        key: what requests carry; None: a random one, which is printed.
        port: 0 takes any that is free.
        host: where to listen. Other machines reach it where it is not the loopback address; the key is asked for all
            the same, but goes over the network in the clear.

    Raises:
        UserError: the port is taken, the model cannot be loaded, or a package is not installed.
    """
    try:
        from mmke.web.serve.opening import serve_model
    except ModuleNotFoundError as error:
        raise UserError(f"serving needs the Python package {error.name!r}; run: pip install 'mmke[play]'") from error
    serve_model(answering, edits=edits, key=key, port=port, host=host)
