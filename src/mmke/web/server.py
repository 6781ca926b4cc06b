"""Running an application on this machine: where it listens, the one line that it prints, and how it ends."""

import errno
import socket
import sys
import webbrowser
from collections.abc import Callable
from threading import Timer

import uvicorn
from starlette.types import ASGIApp

from mmke.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free.

    Raises:
        UserError: the port is taken or not allowed, or the host is none of this machine's.
    """
    if not host:  # which would be every address of this machine, without saying so
        raise UserError("the host is empty; 127.0.0.1 is this machine alone, 0.0.0.0 every address of it")
    if not 0 <= port <= 65_535:
        raise UserError(f"there is no port {port}; ports go from 0 to 65535, 0 takes any that is free")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:  # UnicodeError: what can be no host's name
        raise UserError(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError | UnicodeError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken; is the page open already? End that command, or choose another port with "
            "--port (0: any that is free)"
        )
    if number == errno.EACCES:
        return f"port {port} of {host} is not for you to use; choose one above 1023 with --port (0: any that is free)"
    return f"cannot listen on {host!r}: it is no address of this machine; 127.0.0.1 is this machine alone"


def address_of(listening: socket.socket, token: str) -> str:
    """Return the address of the page, with the token behind `#`."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/#{token}"


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return a server that has not begun."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        limit_concurrency=100,
        timeout_graceful_shutdown=2,  # a tab that keeps its connection does not hold up Ctrl-C
    )
    return uvicorn.Server(config)


def open_page(address: str) -> None:
    """Open the user's browser; where there is none, or one in the terminal alone, the printed address has to do."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    in_terminal = isinstance(browser, webbrowser.GenericBrowser) and not isinstance(
        browser, webbrowser.BackgroundBrowser
    )
    if not in_terminal:
        browser.open(address)


def run(
    app: ASGIApp,
    listening: socket.socket,
    *,
    address: str,
    open_browser: bool,
    tell: Callable[[str], object] = sys.stdout.write,
) -> None:
    """Serve until Ctrl-C."""
    tell(f"Open {address} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    if open_browser:
        opening = Timer(0.5, open_page, [address])  # the browser asks when the server answers
        opening.daemon = True
        opening.start()
    try:
        server_of(app).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the way in which this command ends
    finally:
        listening.close()
