"""The pages on editors: each editor has one, its settings are the files', and its figures were measured."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mmke import registry
from mmke.editing.settings import DEVIATIONS, NO_SETTINGS, SWITCHES

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "editors" / "index.md"
SCALING = ROOT / "docs" / "scaling.md"
PAGES = {
    name: INDEX.parent / page for name, page in re.findall(r"^\| \[`(\S+)`\]\((\S+)\)", INDEX.read_text(), re.MULTILINE)
}
EDITORS = (
    "none",
    "ft-llm",
    "ft-alignment",
    "ike",
    "ike-random",
    "serac",
    "mend",
    "ke",
    "lora",
    "ultraedit",
    "grace",
    "m-ore",
    "mscke",
    "wise",
    "gated-note",
)
MEASURED = [
    *(ROOT / "docs" / name for name in ("results.md", "streams-results.md", "streams-speed.md")),
    *(
        ROOT / name
        for name in (
            "benchmarks/RESULTS.md",
            "benchmarks/FULL_SIZE.md",
            "recipes/settings/README.md",
            "recipes/gate/README.md",
        )
    ),
]
"""Pages whose figures were measured, each with its command and device."""


class Setting(NamedTuple):
    """A setting's value, if it has one for every backbone, and what differs on some."""

    value: object
    on: Mapping[str, object]


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading of the second level; nothing where there is none."""
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def said(pieces: list[str]) -> object:
    """Return the value that pieces of code show: one piece is a number or a text, several are a list."""
    if len(pieces) != 1:
        return pieces or None
    try:
        return float(pieces[0])
    except ValueError:
        return pieces[0]


def shown(value: object) -> object:
    """Return a value of a settings file as `said` reads it."""
    if isinstance(value, list):
        return said([str(each) for each in value])
    return said([str(value).lower() if isinstance(value, bool) else str(value)])


def in_page(text: str) -> Iterator[tuple[str, Setting]]:
    """Yield the rows of a page's table of settings."""
    for row in re.findall(r"^\| (?:switch )?`(\w+)` \|(.+)\|$", text, re.MULTILINE):
        value, other, _ = row[1].split("|")
        differing = re.findall(r"((?:`[^`]+`(?:, )?)+) \(([^)]+)\)", other)
        on = {
            backbone: said(re.findall(r"`([^`]+)`", each))
            for each, backbones in differing
            for backbone in backbones.split(", ")
        }
        yield row[0], Setting(said(re.findall(r"`([^`]+)`", value)), on)


def stated(editor: str, ending: str) -> dict[str, Any]:
    """Return a settings file of an editor; an editor without one for `paper` has nothing that differs there."""
    file = registry.package_files("editors", editor) / f"{editor}{ending}"
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def in_file(editor: str, ending: str) -> dict[str, Setting]:
    """Return the settings and switches that a file states."""
    read = stated(editor, ending)
    backbones, switches = read.pop("backbone", {}), read.pop(SWITCHES, {})
    values = {name: shown(value) for name, value in (read | switches).items() if name not in NO_SETTINGS}
    on: dict[str, dict[str, object]] = {name: {} for name in values}
    for backbone, differing in backbones.items():
        for name, value in differing.items():
            if name not in NO_SETTINGS and shown(value) != values.get(name):
                on.setdefault(name, {})[backbone] = shown(value)
    return {name: Setting(values.get(name), differing) for name, differing in on.items()}


def test_every_editor_has_a_page_that_the_index_lists() -> None:
    assert tuple(PAGES) == EDITORS
    assert set(EDITORS) <= set(registry.names("editors"))
    assert {page.name for page in PAGES.values()} == {page.name for page in INDEX.parent.glob("*.md")} - {"index.md"}


@pytest.mark.parametrize("editor", EDITORS[1:])
def test_the_tables_of_settings_say_what_the_files_say(editor: str) -> None:
    assert dict(in_page(section(PAGES[editor], "Settings"))) == in_file(editor, ".toml")
    assert dict(in_page(section(PAGES[editor], "Under `paper`"))) == in_file(editor, ".paper.toml")


@pytest.mark.parametrize("editor", EDITORS[1:])
def test_what_still_differs_from_the_published_code_is_said(editor: str) -> None:
    read = stated(editor, ".paper.toml")
    everywhere = read.get(DEVIATIONS, [])
    own = [each for differing in read.get("backbone", {}).values() for each in differing.get(DEVIATIONS, [])]
    assert [each for each in (*everywhere, *own) if f"* {each}\n" not in section(PAGES[editor], "Under `paper`")] == []


@pytest.mark.parametrize("page", sorted({INDEX, SCALING, *PAGES.values()}), ids=lambda page: page.name)
def test_every_figure_stands_in_a_page_of_measurements(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page not in (INDEX, SCALING):
        text = "".join(section(page, heading) for heading in ("Cost", "In streams", "When it fails"))
    figures = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*[a-zA-Z.-])", re.sub(r"`[^`]*`|\([^)]*\.md[^)]*\)", "", text))
    measured = " ".join(each.read_text(encoding="utf-8") for each in MEASURED)
    known = set(re.findall(r"(?<![\d.])\d+\.\d+(?!\d)", measured))
    assert figures
    assert sorted(set(figures) - known) == []
