"""The verification page with several people, and with one person in two tabs."""

import re
from pathlib import Path

import pytest
from browser import Serve, watched
from playwright.sync_api import Browser, BrowserContext, expect
from verify_kit import at, enter, project, states, verdicts


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
