"""The playground in a real browser, from a picture to an edit to undo, with a tiny model."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import playing, watched
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from mmke.web.play.service import Service
from mmke.web.play.tabs import IDLE_SECONDS

pytestmark = pytest.mark.slow

Served = tuple[str, Service]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with playing(tmp_path_factory.mktemp("play")) as found:
        yield found


@pytest.fixture
def window(chromium: Browser, served: Served) -> Iterator[BrowserContext]:
    with watched(chromium, viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        yield context
        expect.set_options(timeout=None)  # the default again: it holds for the whole process


@pytest.fixture
def enter(window: BrowserContext, served: Served) -> Callable[[], Page]:
    """Return what opens a tab and waits until the model is there."""

    def open_tab() -> Page:
        page = window.new_page()
        page.goto(served[0])
        expect(page.locator("#edit")).to_be_enabled()
        return page

    return open_tab


def idle(page: Page) -> None:
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#trouble")).to_be_hidden()


def edit(page: Page, target: str, *editors: str) -> None:
    for box in page.locator('input[name="editor"]:enabled').all():
        box.set_checked(box.get_attribute("value") in editors)
    page.fill("#target", target)
    page.click("#edit")
    idle(page)


def test_from_a_picture_to_an_edit_to_undo(enter: Callable[[], Page]) -> None:
    page = enter()
    expect(page.locator("#picture")).to_be_visible()
    expect(page.locator("#question")).not_to_have_value("")
    expect(page.locator("#target")).not_to_have_value("")
    page.click("#choose")
    page.get_by_role("button", name="Signs and gestures").click()
    page.locator("#shelf button").nth(2).click()
    expect(page.locator("#gallery")).to_be_hidden()
    expect(page.locator("#ideas button")).not_to_have_count(0)
    edit(page, "It means that rain comes.", "ft-llm", "ike-random")
    columns = page.locator("#answers article").first.locator(".column")
    assert [column.get_attribute("data-column") for column in columns.all()] == ["before", "ft-llm", "ike-random"]
    expect(columns.nth(1).locator(".tag")).to_have_text(re.compile("changed|as before"))
    expect(page.locator("#stack li")).to_have_count(1)
    expect(page.locator("#panel tbody tr")).not_to_have_count(0)
    for row in page.locator("#panel tbody tr").all():
        before, *after = (cell.inner_text().removesuffix("moved").strip() for cell in row.locator("td").all()[1:])
        marked = ["moved" in (cell.get_attribute("class") or "") for cell in row.locator("td").all()[2:]]
        assert [text != before for text in after] == marked
    edit(page, "It means that snow comes.", "ft-llm")
    expect(page.locator("#stack li")).to_have_count(2)
    page.click("#undo")
    expect(page.locator("#fingerprint")).to_contain_text("bit for bit")
    expect(page.locator("#stack li")).to_have_count(1)
    page.click("#undo-all")
    expect(page.locator("#stack-card")).to_be_hidden()
    page.click("#ask")
    idle(page)
    words = page.locator("#answers article").first.locator(".words").all_inner_texts()
    assert len(words) == 2
    assert words[0] == words[1]


def test_two_tabs_have_edits_of_their_own_and_a_loaded_again_tab_keeps_them(enter: Callable[[], Page]) -> None:
    first, second = enter(), enter()
    edit(first, "nobody", "ft-llm")
    edit(second, "somebody", "ft-llm")
    expect(first.locator("#stack li")).to_contain_text("nobody")
    second.reload()
    expect(second.locator("#stack li")).to_contain_text("somebody")
    second.click("#without")
    expect(second.locator("#edit")).to_be_enabled()
    second.click("#undo-all")
    expect(second.locator("#stack-card")).to_be_hidden()
    expect(first.locator("#stack li")).to_have_count(1)


def png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (32, 20), (20, 120, 40)).save(content, "PNG")
    return content.getvalue()


def test_pictures_by_picker_drop_and_paste_and_bad_files_in_one_line(enter: Callable[[], Page]) -> None:
    page = enter()
    page.locator("#file").set_input_files({"name": "hill.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator("#caption")).to_have_text("hill.png")
    page.locator("#file").set_input_files({"name": "bad.png", "mimeType": "image/png", "buffer": b"MZ no picture"})
    expect(page.locator("#trouble")).to_contain_text("no picture")
    bring = """([bytes, kind]) => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(bytes)], kind + ".png", { type: "image/png" }));
        const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: carried, bubbles: true })
            : new ClipboardEvent("paste", { clipboardData: carried, bubbles: true });
        document.body.dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(bring, [list(png()), kind])
        expect(page.locator("#caption")).to_have_text(f"{kind}.png")
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator("#picture")).to_have_js_property("naturalWidth", 32)


def test_edits_are_saved_and_opened_in_another_tab_and_answers_shared(
    enter: Callable[[], Page], window: BrowserContext, tmp_path: Path
) -> None:
    page = enter()
    edit(page, "nobody", "ft-llm")
    with page.expect_download() as saving:
        page.click("#save")
    saved = tmp_path / saving.value.suggested_filename
    saving.value.save_as(saved)
    assert saved.suffix == ".safetensors"
    other = enter()
    other.locator("#edits-file").set_input_files(saved)
    expect(other.locator("#stack li")).to_contain_text("nobody")
    idle(other)
    with page.expect_download() as sharing:
        page.click("#share")
    sharing.value.save_as(tmp_path / "shared.html")
    shared = window.browser.new_page()  # type: ignore[union-attr]
    shared.goto((tmp_path / "shared.html").as_uri())
    expect(shared.locator("h1")).to_have_text("tiny-llava, edited")
    expect(shared.locator("body")).to_contain_text("nobody")
    assert shared.locator("img").first.evaluate("image => image.naturalWidth") > 0
    shared.close()


def test_a_tab_that_is_closed_in_the_middle_stops_its_work(enter: Callable[[], Page], served: Served) -> None:
    page, service = enter(), served[1]
    page.fill("#target", "nobody " * 40)
    page.click("#edit")
    expect(page.locator("#stop")).to_be_visible()
    name = page.evaluate("sessionStorage.getItem('mmke-play-tab')")
    page.close()
    after = enter()
    edit(after, "somebody", "ft-llm")
    tab = service.tabs.get(name)
    assert not tab.busy


def test_a_tab_that_was_put_away_makes_its_edits_again(enter: Callable[[], Page], served: Served) -> None:
    page, tabs = enter(), served[1].tabs
    edit(page, "nobody", "ft-llm")
    now = tabs.now
    tabs.now = lambda: now() + IDLE_SECONDS + 1
    tabs.sweep()
    tabs.now = now
    page.click("#ask")
    expect(page.locator("#trouble")).to_contain_text("idle for long")
    page.click("#repeat")
    expect(page.locator("#stack li")).to_contain_text("nobody")
    idle(page)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(enter: Callable[[], Page], width: int) -> None:
    page = enter()
    page.set_viewport_size({"width": width, "height": 844})
    edit(page, "nobody", "ft-llm", "ft-alignment")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_there_before_the_model_and_says_so(chromium: Browser, tmp_path: Path) -> None:
    with ExitStack() as stack:
        address, service = stack.enter_context(playing(tmp_path, "no-such-backbone", wait=False))
        window = stack.enter_context(watched(chromium))
        page = window.new_page()
        page.goto(address)
        expect(page.locator("#loading")).to_contain_text("unknown backbone 'no-such-backbone'", timeout=30_000)
        expect(page.locator("#edit")).to_be_disabled()
        expect(page.locator("#picture")).to_be_visible()
        assert service.state()["state"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_leaves_no_pictures_behind(tmp_path: Path, number: signal.Signals) -> None:
    # What a shell starts in the background ignores Ctrl-C, and hands that on.
    heeding = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from mmke.cli.app import main; main()"
    )
    command = [sys.executable, "-c", heeding, "play", "--backbone", "tiny-llava", "--no-browser"]
    there = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=there, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("Open http://127.0.0.1:")
            assert list(tmp_path.glob("mmke-play-*"))
            process.send_signal(number)
            process.wait(60)
        finally:
            process.kill()
    assert list(tmp_path.glob("mmke-play-*")) == []
