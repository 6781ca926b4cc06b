"""Opening the page: the server is there at once, and the model is loaded meanwhile."""

import signal
import sys
import tempfile
from pathlib import Path

from mmke.web.play import PlaySettings
from mmke.web.play.routes import play_app
from mmke.web.play.service import Service
from mmke.web.safeguards import known_hosts, new_token
from mmke.web.server import address_of, listen, run


def serve_page(settings: PlaySettings, *, port: int, host: str, open_browser: bool) -> None:
    """Serve the page until Ctrl-C; `mmke.web.play.serve` says what is what."""
    listening = listen(host, port)
    token = new_token()
    with tempfile.TemporaryDirectory(prefix="mmke-play-") as folder:
        service = Service(settings, Path(folder))
        app = play_app(service, token=token, hosts=known_hosts(host))
        service.start()
        signal.signal(signal.SIGTERM, end_by_signal)
        try:
            run(app, listening, address=address_of(listening, token), open_browser=open_browser)
        finally:
            service.close()


def end_by_signal(*_: object) -> None:
    """End the command at SIGTERM as at its own end, with its temporary folder."""
    # The server ends well and then raises the signal again, which by itself would leave the folder behind.
    sys.exit(128 + signal.SIGTERM)
