"""The verification page in a real browser, with the keyboard alone: one person at work."""

import re
from pathlib import Path

import pytest
from browser import Serve, watched
from playwright.sync_api import Browser, BrowserContext, expect
from verify_kit import at, enter, project, said, states, verdicts

from mmke.build.content import Kind


def test_accept_reject_and_undo_by_keyboard(window: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    folder = project(tmp_path)
    address = serve(folder)
    page = enter(window, address, "Ruth")
    at(page, "Aland")
    page.keyboard.press("a")
    at(page, "Boria")
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    expect(page.locator("#reject-wrong")).to_have_text("Choose at least one reason.")
    page.keyboard.press("2")
    page.keyboard.press("6")
    page.locator("#comment").focus()
    page.keyboard.type("Founded twice, 1 and 2.")
    page.keyboard.press("Enter")
    at(page, "Corda")
    page.keyboard.press("u")
    at(page, "Boria")
    page.keyboard.press("a")
    at(page, "Corda")
    expect(page.locator("#count")).to_have_text("2 done, 1 left for you")
    given = verdicts(folder)
    assert [each["decision"] for each in given] == ["accept", "reject", "undo", "accept"]
    assert given[1]["reasons"] == ["wrong fact", "not suitable"]
    assert given[1]["comment"] == "Founded twice, 1 and 2."
    assert {each["annotator"] for each in given} == {"Ruth"}
    assert states(folder) == ["accepted", "accepted", "open"]


def test_correct_in_place_with_the_rules_beside(window: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    folder = project(tmp_path)
    address = serve(folder, "Ruth")
    page = enter(window, address, None)
    page.keyboard.press("c")
    field = page.locator('textarea[name="t_rel_1.answer"]')
    expect(page.locator('textarea[name="target"]')).to_be_focused()
    for _ in range(20):  # with the keyboard alone: Tab goes through the fields
        if field.evaluate("field => field === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("an answer of very many words indeed")
    expect(page.locator('[data-places~="t_rel_1.answer"] li').first).to_be_visible()
    said(page, "You may save")
    page.keyboard.press("Control+a")
    page.keyboard.type("Cordo City")
    page.keyboard.press("Control+Enter")
    at(page, "Boria")
    page.keyboard.press("ArrowLeft")
    at(page, "Aland")
    expect(page.locator("#mine")).to_have_text("You corrected this")
    expect(page.locator('[data-text="t_rel_1.answer"]')).to_have_text("Cordo City")
    expect(page.locator(".was")).to_contain_text("Cordo")
    (given,) = verdicts(folder)
    assert given["corrections"] == {"t_rel_1.answer": "Cordo City"}
    assert given["before"] == {"t_rel_1.answer": "Cordo"}
    assert given["seconds"] > 0
    assert states(folder)[0] == "corrected"


@pytest.mark.slow
def test_a_description_that_is_the_same_before_and_after_is_corrected_in_both(
    window: BrowserContext, serve: Serve, tmp_path: Path
) -> None:
    folder = project(tmp_path, "user", count=2)
    lines = (folder / "edits.jsonl").read_text()
    original = re.compile(r'"original":"[^"]*","target":("[^"]*")')
    (folder / "edits.jsonl").write_text(original.sub(r'"original":\1,"target":\1', lines))
    page = enter(window, serve(folder, "Ruth"), None)
    expect(page.locator('[data-text="original"]')).to_have_count(0)
    page.keyboard.press("C")  # also with the capitals locked
    page.keyboard.press("Control+End")
    page.keyboard.type(" So it is.")
    page.keyboard.press("Control+Enter")
    at(page, "Boria")
    (given,) = verdicts(folder)
    assert set(given["corrections"]) == {"original", "target"}
    assert given["corrections"]["original"].endswith("brothers. So it is.")


@pytest.mark.slow
def test_a_draft_survives_a_reload_and_escape(window: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    folder = project(tmp_path)
    address = serve(folder, "Ruth")
    page = enter(window, address, None)
    page.keyboard.press("c")
    page.keyboard.press("End")
    page.keyboard.type(" Halfway")
    page.reload()
    target = page.locator('textarea[name="target"]')
    expect(target).to_have_value(re.compile(r"Halfway"))
    page.keyboard.press("Escape")
    said(page, "The draft is kept")
    expect(page.locator('[data-text="target"]')).not_to_contain_text("Halfway")
    page.keyboard.press("c")
    expect(target).to_have_value(re.compile(r"Halfway"))
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    at(page, "Boria")
    page.keyboard.press("ArrowLeft")
    at(page, "Aland")
    expect(target).to_have_count(0)  # the draft went with the verdict
    assert states(folder)[0] == "accepted"


@pytest.mark.parametrize(
    "kind", [pytest.param("entity", marks=pytest.mark.slow), "semantic", pytest.param("user", marks=pytest.mark.slow)]
)
def test_pictures_stand_side_by_side_and_zoom(window: BrowserContext, serve: Serve, tmp_path: Path, kind: Kind) -> None:
    roles = ["edit", "rephrase", "locality"]
    roles = ["subject", *roles] if kind != "user" else roles
    roles = [*roles[:-1], "one_hop", "locality"] if kind != "entity" else roles
    address = serve(project(tmp_path, kind, count=2), "Ruth")
    page = enter(window, address, None)
    shown = page.locator(".pictures img")
    assert shown.evaluate_all("images => images.map(image => image.dataset.role)") == roles
    for image in shown.all():
        expect(image).to_have_js_property("complete", True)  # noqa: FBT003
        expect(image).not_to_have_js_property("naturalWidth", 0)
    tops = shown.evaluate_all("images => images.map(image => image.getBoundingClientRect().top)")
    assert max(tops) - min(tops) < 4
    page.keyboard.press("z")
    expect(page.locator("#zoom-picture")).to_have_attribute("data-role", roles[0])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#zoom-picture")).to_have_attribute("data-role", roles[1])
    page.keyboard.press("Escape")
    expect(page.locator("#zoom")).to_be_hidden()


@pytest.mark.slow
def test_on_a_phone_nothing_is_cut_off_and_everything_has_a_name(
    chromium: Browser, serve: Serve, tmp_path: Path
) -> None:
    address = serve(project(tmp_path, "semantic", count=2), "Ruth")
    with watched(chromium, viewport={"width": 360, "height": 740}, color_scheme="dark") as phone:
        page = enter(phone, address, None)
        for key in ("", "c"):
            if key:
                page.keyboard.press(key)
                expect(page.locator("textarea").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            for part in page.locator("button:visible, img:visible, textarea:visible, progress:visible").all():
                expect(part).to_have_accessible_name(re.compile(r"\w|←|→"))
        for box in page.locator("#edit-buttons button").all():
            found = box.bounding_box()
            assert found is not None
            assert found["x"] >= 0
            assert found["x"] + found["width"] <= 360
            assert found["height"] >= 44  # what a finger meets


def test_texts_are_shown_as_they_are_and_never_read_as_markup(
    window: BrowserContext, serve: Serve, tmp_path: Path
) -> None:
    folder = project(tmp_path, count=1)
    file = folder / "edits.jsonl"
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> $& (capital|founded) "
    lines = file.read_text().replace('"target":"', f'"target":"{hostile}').replace('"Cordo"', '"<b>Cor.*do</b>"')
    file.write_text(lines)
    page = enter(window, serve(folder, "Ruth"), None)
    page.on("dialog", lambda dialog: pytest.fail(f"the text was run: {dialog.message}"))
    expect(page.locator('[data-text="target"]')).to_contain_text(hostile.strip())
    expect(page.locator(".facts")).to_contain_text("<b>Cor.*do</b>")
    assert page.locator("main script, main b b, .words img").count() == 0


def test_without_the_token_of_this_start_the_page_says_what_to_do(
    window: BrowserContext, serve: Serve, tmp_path: Path
) -> None:
    address = serve(project(tmp_path))
    page = window.new_page()
    page.goto(address.partition("#")[0])
    expect(page.locator("#trouble")).to_contain_text("Open the address that the command printed last")
    assert "Aland" not in page.content()
    page.goto(address)  # the same tab: only what is behind # differs
    expect(page.locator("#name")).to_be_focused()
    assert "#" not in page.url


def test_time_counts_until_a_minute_after_the_last_sign_of_life(
    window: BrowserContext, serve: Serve, tmp_path: Path
) -> None:
    folder = project(tmp_path)
    page = window.new_page()
    page.clock.install()
    page.goto(serve(folder, "Ruth"))
    at(page, "Aland")
    page.clock.run_for(20_000)
    page.keyboard.press("ArrowDown")
    page.clock.run_for(300_000)
    page.keyboard.press("a")
    at(page, "Boria")
    (given,) = verdicts(folder)
    assert 79 < given["seconds"] < 85  # 20 and 60, and what passes between the keys
