"""One browser for all tests of pages; servers and a window of its own for each test."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import Serve, serving, started, watched
from playwright.sync_api import Browser, BrowserContext


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what serves a project's page until the test ends, and returns its address."""
    with ExitStack() as stack:

        def serve_project(folder: Path, annotator: str | None = None) -> str:
            return stack.enter_context(serving(folder, annotator=annotator))

        yield serve_project


@pytest.fixture
def window(chromium: Browser, serve: Serve) -> Iterator[BrowserContext]:
    """Return a window without anything of other tests; at the end no request may have left this machine.

    It asks for `serve` so that it is closed before the servers, which wait for its connections.
    """
    with watched(chromium, viewport={"width": 1280, "height": 900}) as context:
        yield context
