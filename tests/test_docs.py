"""The documentation: every page is in the contents, links lead somewhere, and the site builds without a warning."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.main import get_command

import mmke
from mmke.cli.app import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PATTERNS = ("*.md", "docs/**/*.md", "benchmarks/*.md", "recipes/*/*.md", "examples/*/*.md")
PAGES = sorted(page for pattern in PATTERNS for page in ROOT.glob(pattern))
COLUMNS = ("t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[str]:
    """Return what a page's links and pictures lead to, but for other sites."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(page))):
        if not re.match(r"[a-z]+:", target):
            yield unquote(target)


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to, as code hosts and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def listed(index: Path) -> set[Path]:
    """Return the pages that a table of contents lists, also by way of other tables of contents."""
    found = {(index.parent / target).resolve() for target in links(index) if target.endswith(".md")}
    inner = [page for page in found if page.name == "index.md" and page != index]
    return found.union(*map(listed, inner))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_in_the_contents() -> None:
    index = ROOT / "docs" / "index.md"
    assert set(PAGES) - listed(index) - {index, README} == set()


def test_the_reference_names_everything_that_mmke_offers() -> None:
    text = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    assert [name for name in mmke.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_every_command_is_explained() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `mmke ([a-z]+)` \|", page, re.MULTILINE))
    assert told == set(get_command(app).commands)


def test_the_readme_is_one_page() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readmes_table_is_what_was_measured() -> None:
    measured = {
        cell["editor"]: [f"{cell['metrics'][name]['value']:.1f} ±{cell['metrics'][name]['se']:.1f}" for name in COLUMNS]
        for cell in json.loads((ROOT / "docs/results.json").read_text())
        if (cell["backbone"], cell["benchmark"], cell["protocol"]) == ("smol-llava", "mini-entity", "strict")
    }
    rows = re.findall(r"^\| ([a-z-]+) \| (.+) \| [\d.]+ \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert {editor: figures.split(" | ") for editor, figures in rows} == measured


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    options = ["--quiet", "--fail-on-warning", "--nitpicky", "-c", "docs", "-d", str(tmp_path / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    first = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert 'url=docs/index.html"' in first
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {"first-steps.html", "api.html", "FULL_SIZE.html"} <= {page.name for page in pages}
    foreign = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//")
    assert [page.name for page in pages if foreign.search(page.read_text(encoding="utf-8"))] == []
