"""The page where people edit a model and ask it: `mmke play`.

What may be sent stands in `asks.py`; `routes.py` and `service.py` answer it. `worker.py` is the one thread that
computes, `tabs.py` keeps a session for each tab, `uploads.py` and `gallery.py` keep pictures, and `panel.py` chooses
what is asked besides. Whatever needs torch stands in `room/`, which only the worker's thread imports, so that the page
is there at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmke.errors import UserError
from mmke.web import HOST


@dataclass(frozen=True)
class PlaySettings:
    """What is played with; names and values as for `mmke run`. `edits`: folders of saved edits that tabs begin with."""

    backbone: str = "smol-llava"
    device: str = "cpu"
    dtype: str | None = None
    weights: str | None = None
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    edits: tuple[Path, ...] = ()


def serve(settings: PlaySettings, *, port: int = 0, host: str = HOST, open_browser: bool = True) -> None:
    """Serve the page until Ctrl-C.

    Args:
        settings: the model and the editors.
        port: 0 takes any that is free.
        host: where to listen. Other machines reach the page where it is not the loopback address; the token is asked
            for all the same, but goes over the network in the clear.
        open_browser: open the address in the user's browser.

    Raises:
        UserError: the port is taken, or a package is not installed.
    """
    try:
        from mmke.web.play.opening import serve_page
    except ModuleNotFoundError as error:
        raise UserError(f"the page needs the Python package {error.name!r}; run: pip install 'mmke[play]'") from error
    serve_page(settings, port=port, host=host, open_browser=open_browser)
