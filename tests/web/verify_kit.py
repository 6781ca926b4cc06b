"""What tests of the verification page do in a browser, and read from a project afterwards."""

import json
import re
from pathlib import Path
from typing import Any

from kit import make_project
from playwright.sync_api import BrowserContext, Page, expect

from mmke.build.content import Kind
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.verdicts.standing import standing


def project(folder: Path, kind: Kind = "entity", *, count: int = 3, double: float = 0.0) -> Path:
    return make_project(folder, kind, count=count, double=double)


def verdicts(folder: Path) -> list[dict[str, Any]]:
    file = folder / "verdicts.jsonl"
    return [json.loads(line)["content"] for line in file.read_text().splitlines()] if file.exists() else []


def states(folder: Path) -> list[str]:
    with open_project(folder, write=False) as opened:
        found = records(opened)
        return [standing(opened, found)[record.id].state for record in found]


def enter(window: BrowserContext, address: str, name: str | None) -> Page:
    """Open the page and give a name, if it asks for one."""
    page = window.new_page()
    page.goto(address)
    if name is not None:
        expect(page.locator("#name")).to_be_focused()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
    expect(page.locator("#record-title")).to_be_focused()
    return page


def at(page: Page, subject: str) -> None:
    """Wait until a record is before the person."""
    expect(page.locator("#record-title")).to_have_text(re.compile(f"^{subject}"))


def said(page: Page, text: str) -> None:
    expect(page.locator("#said")).to_contain_text(text)
