"""Opening the endpoint: the port first, then the model, and then requests."""

import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mmke.web.play.opening import end_by_signal
from mmke.web.safeguards import known_hosts, new_token
from mmke.web.serve.routes import serve_app
from mmke.web.serve.service import Service
from mmke.web.server import address_of, listen, server_of

if TYPE_CHECKING:
    from mmke.edits.answering import Answering


def name_of(edits: tuple[Path, ...]) -> str | None:
    """Return what a model with saved edits is called: after their folders."""
    return "+".join(folder.resolve().name for folder in edits) or None


def serve_model(answering: "Answering", *, edits: tuple[Path, ...], key: str | None, port: int, host: str) -> None:
    """Serve until Ctrl-C; `mmke.web.serve.serve` says what is what."""
    listening = listen(host, port)
    token = key or new_token()
    with tempfile.TemporaryDirectory(prefix="mmke-serve-") as folder, listening:
        service = Service(answering, edited=name_of(edits), folder=Path(folder))
        signal.signal(signal.SIGTERM, end_by_signal)
        try:
            service.load()
            base = address_of(listening, "").partition("#")[0]
            sys.stdout.write(f"{' and '.join(service.models)} at {base}v1 (Ctrl-C ends it)\n")
            sys.stdout.write(f"export OPENAI_BASE_URL={base}v1 OPENAI_API_KEY={token}\n" if key is None else "")
            sys.stdout.flush()
            server_of(serve_app(service, key=token, hosts=known_hosts(host))).run(sockets=[listening])
        except KeyboardInterrupt:
            pass  # the way in which this command ends
        finally:
            service.close()
