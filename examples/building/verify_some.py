"""Decide on some records of a project as people would: on the page of `mmke build verify`, with the keyboard alone.

    python examples/building/verify_some.py PROJECT [--records 6]

Ana decides on the first records: she accepts them, but for the second, where she corrects a question, and the third,
which she rejects. Ben then decides, without seeing her verdicts, on those among them that two people are to decide.
This shows how the page is driven and what comes of it; it is no verification: nobody has read the records.

Needs Playwright (`pip install playwright`) and Chromium, found on the path or named by MMKE_CHROMIUM.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def page_of(browser: Browser, project: Path, annotator: str) -> Iterator[Page]:
    """Serve a project's verification page, open it, and end the server with Ctrl-C."""
    command = [sys.executable, "-m", "mmke.cli", "build", "verify", project, "--annotator", annotator, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            address = re.search(r"http://\S+", line)
            if address is None:
                raise SystemExit(f"the server did not start: {line}")
            page = browser.new_page()
            page.goto(address.group())
            yield page
        finally:
            server.send_signal(signal.SIGINT)


def turn(page: Page) -> str:
    """Return which look at the record this is; empty where no record is left for the annotator."""
    expect(page.locator("#record-title")).to_be_visible()
    told = page.locator("#turn")
    return told.inner_text() if told.count() else ""


def decide(page: Page, number: int) -> None:
    """Decide on the record that is before the annotator, and wait for the next one."""
    counted = page.locator("#count").inner_text()
    keys = {1: correct, 2: reject}.get(number, accept)
    keys(page)
    expect(page.locator("#count")).not_to_have_text(counted)


def accept(page: Page) -> None:
    """Press the key for accepting."""
    page.keyboard.press("a")


def reject(page: Page) -> None:
    """Reject for the third reason of the list."""
    page.keyboard.press("r")
    page.keyboard.press("3")
    page.keyboard.press("Enter")


def correct(page: Page) -> None:
    """Put another question in the place of the first one."""
    page.keyboard.press("c")
    field = page.locator("textarea[name$='.question']").first
    while not field.evaluate("field => field === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Home")
    page.keyboard.type("Please tell: ")
    page.keyboard.press("Control+Enter")


def main() -> None:
    """Let Ana decide on the first records, and Ben on those that are decided twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--records", type=int, default=6)
    args = parser.parse_args()
    path = os.environ.get("MMKE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("no Chromium is on the path; MMKE_CHROMIUM can name one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        with page_of(browser, args.project, "Ana") as page:
            for number in range(args.records):
                if turn(page):
                    decide(page, number)
        with page_of(browser, args.project, "Ben") as page:
            while turn(page).startswith("Second"):
                decide(page, 0)
        browser.close()


if __name__ == "__main__":
    main()
