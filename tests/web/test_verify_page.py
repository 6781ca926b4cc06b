"""The verification page in a real browser, with the keyboard alone."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import Serve, watched
from kit import make_project
from playwright.sync_api import Browser, BrowserContext, Page, expect

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
def test_two_people_at_once_do_not_mix_and_a_third_decides_between_them(
    chromium: Browser, serve: Serve, tmp_path: Path
) -> None:
    folder = project(tmp_path, count=1, double=1.0)
    address = serve(folder)
    with watched(chromium) as one, watched(chromium) as other, watched(chromium) as third:
        ruth, omar = enter(one, address, "Ruth"), enter(other, address, "Omar")
        ruth.keyboard.press("a")
        expect(ruth.locator("main")).to_contain_text("Waiting for a second person: 1 record")
        expect(omar.locator("main")).not_to_contain_text("accept")  # blind
        omar.keyboard.press("c")
        omar.keyboard.press("Control+a")
        omar.keyboard.type("This is the flag of Aland. Its capital is Cordo; it was founded in 1833.")
        omar.keyboard.press("Control+Enter")
        expect(omar.locator("#own-dispute")).to_be_visible()  # nobody else has come yet
        lena = enter(third, address, "Lena")
        expect(lena.locator("#turn")).to_have_text("Adjudication")
        expect(lena.locator(".sides")).not_to_contain_text(re.compile("Ruth|Omar"))
        expect(lena.locator(".sides")).to_contain_text("Accept")
        corrected = 1 + lena.locator(".side").evaluate_all(
            "sides => sides.findIndex(side => side.querySelector('.correct'))"
        )
        lena.keyboard.press(str(corrected))
        expect(lena.locator('textarea[name="target"]')).to_have_value(re.compile("Its capital is Cordo; it was"))
        lena.keyboard.press("Control+Enter")
        expect(lena.locator("main")).to_contain_text("That was all")
    assert [(each["annotator"], each["turn"]) for each in verdicts(folder)] == [
        ("Ruth", "first"),
        ("Omar", "second"),
        ("Lena", "adjudication"),
    ]
    assert states(folder) == ["corrected"]


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


@pytest.mark.slow
def test_of_two_people_alone_one_may_decide_their_disagreement(chromium: Browser, serve: Serve, tmp_path: Path) -> None:
    folder = project(tmp_path, count=1, double=1.0)
    address = serve(folder)
    with watched(chromium) as one, watched(chromium) as other:
        ruth, omar = enter(one, address, "Ruth"), enter(other, address, "Omar")
        ruth.keyboard.press("a")
        expect(ruth.locator("main")).to_contain_text("Waiting for a second person")
        omar.keyboard.press("r")
        omar.keyboard.press("1")
        omar.keyboard.press("Enter")
        omar.locator("#own-dispute").focus()
        omar.keyboard.press("Enter")
        expect(omar.locator("main")).to_contain_text("You are one of the two who disagree")
        omar.keyboard.press("a")
        expect(omar.locator("main")).to_contain_text("1 of 1 records settled")
    assert states(folder) == ["accepted"]


def test_two_tabs_of_one_person_are_told_apart(window: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    folder = project(tmp_path)
    address = serve(folder, "Ruth")
    one, other = enter(window, address, None), enter(window, address, None)
    one.keyboard.press("a")
    at(one, "Boria")
    other.bring_to_front()
    other.keyboard.press("r")
    other.keyboard.press("1")
    other.keyboard.press("Enter")
    expect(other.locator("#trouble")).to_contain_text("in another tab")
    expect(other.locator("#mine")).to_have_text("You accepted this")
    assert [each["decision"] for each in verdicts(folder)] == ["accept"]


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


@contextmanager
def command(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a project from a program of its own, and return it with its address."""
    code = (
        "import sys; from pathlib import Path; from mmke.build.project import open_project;"
        "from mmke.web.verify import serve\n"
        "with open_project(Path(sys.argv[1])) as project:"
        " serve(project, annotator='Ruth', port=int(sys.argv[2]), open_browser=False)"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:"), line
        yield program, line.split()[1]
    finally:
        program.kill()
        program.communicate()


@pytest.mark.slow
def test_after_a_kill_verdicts_and_drafts_are_there(window: BrowserContext, tmp_path: Path) -> None:
    folder = project(tmp_path)
    with command(folder) as (program, address):
        page = enter(window, address, None)
        page.keyboard.press("a")
        at(page, "Boria")
        page.keyboard.press("c")
        page.keyboard.press("End")
        page.keyboard.type(" Before the kill.")
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        page.keyboard.type(" After it.")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#trouble")).to_contain_text("The server does not answer. Nothing is lost")
    whole = (folder / "verdicts.jsonl").read_bytes()
    (folder / "verdicts.jsonl").write_bytes(whole + whole[:40])  # a kill in the middle of a line
    port = int(address.split("#")[0].rstrip("/").rpartition(":")[2])
    with command(folder, port) as (_, address):
        page.goto(address)
        at(page, "Boria")
        expect(page.locator('textarea[name="target"]')).to_have_value(re.compile("Before the kill. After it."))
        page.keyboard.press("Control+Enter")
        at(page, "Corda")
    assert [each["decision"] for each in verdicts(folder)] == ["accept", "correct"]
    assert states(folder) == ["accepted", "corrected", "open"]


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_a_second_one_is_told(tmp_path: Path) -> None:
    folder = project(tmp_path)
    with command(folder) as (program, address):
        port = address.split("#")[0].rstrip("/").rpartition(":")[2]
        other = project(tmp_path / "other")
        for place, told in ((folder, "works on this project"), (other, "is the page open already")):
            code = (
                "import sys; from pathlib import Path; from mmke.build.project import open_project;"
                "from mmke.web.verify import serve\n"
                "with open_project(Path(sys.argv[1])) as project: serve(project, port=int(sys.argv[2]))"
            )
            second = subprocess.run(
                [sys.executable, "-c", code, str(place), port], capture_output=True, text=True, check=False, timeout=60
            )
            assert second.returncode != 0
            assert told in second.stderr
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=20)
        assert (program.returncode, errors) == (0, "")


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
