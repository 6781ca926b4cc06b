"""A real browser for tests of pages: which one, how it starts, and that no page asks anybody but this machine."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, sync_playwright
from starlette.types import ASGIApp

from mmke.build.project import open_project
from mmke.build.records import records
from mmke.web import HOST
from mmke.web.play import PlaySettings
from mmke.web.play.routes import play_app
from mmke.web.play.service import Service
from mmke.web.safeguards import known_hosts
from mmke.web.server import address_of, listen, server_of
from mmke.web.verify.opening import service_of
from mmke.web.verify.routes import verify_app

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "0123456789abcdef-token-of-a-test"  # noqa: S105 - of a server that lives for one test

Serve = Callable[..., str]


def executable() -> str:
    """Return the browser to drive; where there is none the test is skipped, unless MMKE_CHROMIUM names one."""
    named = os.environ.get("MMKE_CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path, and MMKE_CHROMIUM names none")
    return found


@contextmanager
def started() -> Iterator[Browser]:
    """Start the browser; one that is named and does not start is a failure."""
    path = executable()
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            if "MMKE_CHROMIUM" in os.environ:
                raise
            pytest.skip(f"{path} does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """Open a browser's window of its own, and assert that nothing in it asked another machine or failed."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(10_000)
    foreign: list[str] = []
    wrong: list[str] = []

    def look(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("blob", "data", "file") and parts.hostname != HOST:
            foreign.append(url)

    context.on("request", lambda request: look(request.url))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    yield context
    context.close()
    assert foreign == []
    assert wrong == []


@contextmanager
def serving(folder: Path, *, annotator: str | None = None) -> Iterator[str]:
    """Serve a project's verification page beside the test, and return its address."""
    with open_project(folder) as project:
        service = service_of(project, records(project), annotator=annotator)
        with running(verify_app(service, token=TOKEN, hosts=known_hosts(HOST))) as address:
            yield address


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve an application beside the test, and return its address."""
    server = server_of(app)
    listening = listen(HOST, 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield address_of(listening, TOKEN)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


@contextmanager
def playing(folder: Path, backbone: str = "tiny-llava", *, wait: bool = True) -> Iterator[tuple[str, Service]]:
    """Serve the playground beside the test, and return its address and its service."""
    service = Service(PlaySettings(backbone), folder)
    with running(play_app(service, token=TOKEN, hosts=known_hosts(HOST))) as address:
        service.start()
        try:
            while wait and service.state()["state"] == "loading":
                time.sleep(0.02)
            yield address, service
        finally:
            service.close()
