"""The report in a real browser, opened from a disk: filters, order, links to records, hostile texts, sizes."""

from pathlib import Path

import pytest
from page_kit import EVIL, write_results
from playwright.sync_api import Browser, BrowserContext, Page, expect

from mmke.report.page import report
from mmke.report.page.gather import gather
from mmke.report.page.report import make_report


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report without plots: its page is made once."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "plots_of_block", lambda *_: ())
        page = make_report(gather([write_results(folder / "results")]), version="0")
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    return file


@pytest.fixture
def page(file: Path, window: BrowserContext) -> Page:
    return opened(window, file)


def opened(window: BrowserContext, file: Path, fragment: str = "") -> Page:
    page = window.new_page()
    page.goto(file.as_uri() + fragment)
    expect(page.locator("#browser")).to_be_visible()
    return page


def found(page: Page) -> list[str]:
    return page.locator("#list .where").all_inner_texts()


def scores(page: Page) -> list[float]:
    return [float(text.split()[0]) for text in page.locator("#list .score").all_inner_texts()]


def test_filters_find_records_and_the_address_brings_them_back(page: Page, window: BrowserContext, file: Path) -> None:
    expect(page.locator("#count")).to_contain_text("9 of 9 records")
    page.get_by_label("Editor", exact=True).select_option("ike")
    page.get_by_label("Question", exact=True).select_option("i_rel")
    page.get_by_label("Order").select_option("gain")
    expect(page.locator("#count")).to_contain_text("3 of 9 records")
    assert scores(page) == [100.0, 87.5, 75.0]
    page.locator("#list a").nth(1).click()
    expect(page.locator("#record")).to_contain_text("Question i_rel 1?")
    expect(page.locator("#record")).not_to_contain_text("Question t_rel 1?")
    other = opened(window, file, page.evaluate("location.hash"))
    assert scores(other) == [100.0, 87.5, 75.0]
    expect(other.locator("#record")).to_contain_text("case-1")
    expect(other.locator("#list a[aria-current]")).to_have_count(1)


def test_worst_first_and_changes_for_the_worse(page: Page) -> None:
    page.get_by_label("Order").select_option("worst")
    assert scores(page) == sorted(scores(page))
    page.get_by_label("Question", exact=True).select_option("t_loc")
    page.get_by_label("Change").select_option("worse")
    # Of case 0 nothing moved, and the unedited model moves nothing.
    expect(page.locator("#count")).to_contain_text("4 of 9 records")
    page.get_by_label("Change").select_option("none")
    expect(page.locator("#count")).to_contain_text("5 of 9 records")


def test_a_search_looks_into_questions_and_answers(page: Page) -> None:
    page.get_by_label("Search").fill("says 4 of land 2")
    expect(page.locator("#count")).to_contain_text("2 of 9 records")
    page.get_by_label("Search").fill("nowhere to be found")
    expect(page.locator("#count")).to_contain_text("0 of 9 records")
    expect(page.locator("#record")).to_be_hidden()


def test_a_record_shows_gold_before_after_and_which_tokens_are_right(window: BrowserContext, file: Path) -> None:
    page = opened(window, file, "#record=ft-llm/case-0&kind=i_rel")
    probe = page.locator(".probe")
    expect(probe).to_have_count(1)
    expect(probe.locator("dd").nth(0)).to_have_text("the flag of land 0")
    expect(probe.locator("dd").nth(1)).to_contain_text("floor says 1 of land 0")
    expect(probe.locator("dd").nth(2)).to_contain_text("edited says 2 of land 0")
    expect(probe.locator("dd").nth(2)).to_contain_text("2 of 4 tokens right")
    expect(probe.locator("dd").nth(2).locator(".strip")).to_have_text("■■□□")
    expect(probe.locator(".scores")).to_have_text("50.0 % +25.0, floor 25.0 %")
    shown = page.locator("#record figure img").first
    assert shown.evaluate("image => [image.complete, image.naturalWidth]") == [True, 128]


def test_hostile_texts_are_shown_as_text(window: BrowserContext, file: Path) -> None:
    page = opened(window, file, "#record=ike/case-1")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    expect(page.locator("#record ins")).to_have_text(EVIL)
    assert page.locator("img[src^='https']").count() == 0


def test_keys_go_through_records_and_editors(page: Page) -> None:
    page.keyboard.press("j")
    expect(page.locator("#record")).to_contain_text("ft-llm · mini-entity · case-1")
    page.keyboard.press("k")
    page.keyboard.press("e")
    expect(page.locator("#record")).to_contain_text("ike · mini-entity · case-0")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()


def test_tables_sort_by_the_keyboard_and_the_floor_stays_on_top(page: Page) -> None:
    table = page.locator("table.figures").first
    table.get_by_role("button", name="I-Rel").focus()
    page.keyboard.press("Enter")
    assert [text.split()[0] for text in table.locator("tbody th").all_inner_texts()] == ["none", "ike", "ft-llm"]
    page.keyboard.press("Enter")
    assert [text.split()[0] for text in table.locator("tbody th").all_inner_texts()] == ["none", "ft-llm", "ike"]
    expect(table.get_by_role("columnheader", name="I-Rel")).to_have_attribute("aria-sort", "ascending")


def test_what_has_no_record_is_told(window: BrowserContext, file: Path) -> None:
    page = opened(window, file, "#record=nobody/case-9")
    expect(page.locator("#count")).to_contain_text("The address names a record that is not here: nobody/case-9")


@pytest.mark.slow
def test_a_phone_scrolls_only_tables_sideways_and_dark_is_dark(page: Page, chromium: Browser, file: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    width, shown = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert width <= shown
    page.emulate_media(color_scheme="dark")
    red, green, blue = page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(red, green, blue) < 64


@pytest.mark.slow
def test_on_paper_the_tables_stand_and_the_browser_does_not(page: Page) -> None:
    page.emulate_media(media="print")
    expect(page.locator("table.figures").first).to_be_visible()
    expect(page.locator("#browser")).to_be_hidden()
    expect(page.locator(".on-paper")).to_be_visible()
