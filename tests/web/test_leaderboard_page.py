"""The page of a leaderboard in a browser: it sorts, by the keyboard too, and nothing leaves the machine."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from mmke.report.page.standalone import render_page

BAD = "<img src=https://example.org/x onerror=alert(1)>"


def row(place: int | None, editor: str, value: float | None, **changes: Any) -> dict[str, Any]:
    figure = {"text": "–" if value is None else f"{value:.1f} ±1.0", "value": value, "gain": None}
    plain = {"place": place, "floor": place is None, "backbone": "b", "editor": editor, "figures": [figure]}
    about = {"n": 60, "seconds": 0.5, "device": "a card", "code": "abc", "source": "a", "failed": {}}
    return {**plain, **about, **changes}


@pytest.fixture
def page(tmp_path: Path, window: BrowserContext) -> Page:
    board = {
        "id": "board0",
        "title": "mini-entity, hop 1",
        "records": "60 records",
        "revision": "d",
        "columns": {"i_rel": "I-Rel"},
        "by": "i_rel",
        "ranked": [row(1, "ft-llm", 90.0), row(2, "mend", 9.5), row(3, "no-figure", None), row(None, "none", 20.0)],
        "unranked": [row(None, BAD, 1.0, failed={"complete": BAD})],
    }
    text = render_page(
        "leaderboard.html",
        styles=["leaderboard.css"],
        scripts=["sorting.js"],
        boards=[board],
        checks={"complete": "All."},
    )
    file = tmp_path / "board.html"
    file.write_text(text, encoding="utf-8")
    page = window.new_page()
    page.goto(file.as_uri())
    return page


def editors(page: Page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


def test_a_heading_sorts_by_number_and_what_has_none_stays_last(page: Page) -> None:
    assert editors(page) == ["ft-llm", "mend", "no-figure", "none"]
    page.get_by_role("button", name="I-Rel").click()
    assert editors(page) == ["ft-llm", "none", "mend", "no-figure"]
    page.get_by_role("button", name="I-Rel").click()
    assert editors(page) == ["mend", "none", "ft-llm", "no-figure"]
    expect(page.get_by_role("columnheader", name="I-Rel")).to_have_attribute("aria-sort", "ascending")


def test_the_keyboard_sorts_by_name(page: Page) -> None:
    page.get_by_role("button", name="Editor").focus()
    page.keyboard.press("Enter")
    assert editors(page) == ["ft-llm", "mend", "no-figure", "none"]
    page.keyboard.press("Enter")
    assert editors(page) == ["none", "no-figure", "mend", "ft-llm"]


def test_what_a_folder_says_is_shown_as_text(page: Page) -> None:
    expect(page.get_by_text(BAD).first).to_be_visible()
    assert page.locator("img").count() == 0


def test_on_a_phone_only_the_table_scrolls_sideways(page: Page, chromium: Browser) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    width, shown = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert width <= shown
