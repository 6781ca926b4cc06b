"""What a code host and an index read is valid, and what it tells people to do exists."""

import os
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmke import cli

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted(file for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
MEASURED = [*sorted((ROOT / "benchmarks" / "results").rglob("*.json*")), ROOT / "src/mmke/grid/measured.toml"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def targets() -> set[str]:
    """What `make` makes by name."""
    return set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split())


def exists(command: str) -> bool:
    """Whether a command of a workflow or a page can be given here."""
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        return {word for word in words[1:] if "=" not in word} <= targets()
    if words[0] == "mmke":
        return bool(cli.parse(words[1:]))
    return os.access(ROOT / words[0], os.X_OK)


def test_no_folder_of_tests_has_a_name_that_pytest_passes_over(pytestconfig: pytest.Config) -> None:
    passed_over = pytestconfig.getini("norecursedirs")
    folders = {folder for folder in (ROOT / "tests").rglob("*") if folder.is_dir() and folder.name != "__pycache__"}
    assert ROOT / "tests" / "builder" in folders
    assert not [folder for folder in folders if any(fnmatch(folder.name, pattern) for pattern in passed_over)]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_step_of_a_workflow_is_an_action_or_a_command_that_exists(file: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(file.read_text())
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step for step in steps if ("uses" in step) == ("run" in step)] == []
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    commands = [step["run"] for step in steps if "run" in step]
    assert ".ci/run" in commands
    assert [command for command in commands if not exists(command)] == []


def test_the_workflow_tries_every_python_that_the_package_names() -> None:
    (workflow,) = (yaml.safe_load(file.read_text()) for file in WORKFLOWS)
    jobs = workflow["jobs"].values()
    setups = [step["with"]["python-version"] for job in jobs for step in job["steps"] if "with" in step]
    matrix = [version for job in jobs for version in job.get("strategy", {}).get("matrix", {}).get("python", [])]
    tried = {version for version in [*setups, *matrix] if re.fullmatch(r"3\.\d+", version)}
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = {found.group(1) for each in classifiers if (found := re.fullmatch(r".* :: (3\.\d+)", each))}
    assert tried == named


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_a_template_of_an_issue_has_what_the_host_asks_for(file: Path) -> None:
    template = yaml.safe_load(file.read_text())
    assert {"name", "description", "body"} <= set(template)
    kinds = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert {part["type"] for part in template["body"]} <= kinds
    ids = [part["id"] for part in template["body"]]
    assert len(ids) == len(set(ids))
    assert all(part["attributes"]["label"] for part in template["body"])
    assert any(part.get("validations", {}).get("required") for part in template["body"])


def test_there_is_a_template_for_each_of_the_three_reasons_to_write() -> None:
    assert {file.stem for file in TEMPLATES} == {"bug", "wrong-figure", "new-part"}


def test_the_citation_has_what_the_format_asks_for_and_the_packages_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["cff-version"], citation["type"], citation["license"]) == ("1.2.0", "software", "MIT")
    assert citation["version"] == VERSION
    assert citation["authors"] == [{"name": "mmke developers"}]
    (paper,) = citation["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2502.19870"


def test_the_changelog_begins_with_what_is_not_released() -> None:
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert VERSION in CHANGELOG
    sections = re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)
    assert set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_command_that_the_changelog_names_is_one() -> None:
    known = set(re.findall(r"`mmke ([a-z]+)`", CHANGELOG))
    assert {name for name in known if not cli_has(name)} == set()


def cli_has(name: str) -> bool:
    from typer.main import get_command

    from mmke.cli.app import app

    return name in get_command(app).commands  # type: ignore[attr-defined]


def test_the_page_on_sharing_names_commands_and_checks_that_exist() -> None:
    from mmke.report.leaderboard.checks import CHECKS

    page = (ROOT / "docs" / "sharing.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) == 6
    assert [command for command in commands if not exists(command)] == []
    assert re.findall(r"^\| ([a-z ]+) \| (?:it|its|the) ", page, re.MULTILINE) == list(CHECKS)


def test_contributing_names_commands_and_pages_that_exist() -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", CONTRIBUTING, re.MULTILINE | re.DOTALL)
    assert [line for line in block.splitlines() if not exists(line)] == []
    pages = re.findall(r"\]\(([^)#]+)\)", CONTRIBUTING)
    assert pages
    assert [page for page in pages if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize("file", MEASURED, ids=lambda file: file.name)
def test_what_was_measured_names_no_folder_of_the_machine_where_it_was(file: Path) -> None:
    assert re.findall(r"""["= ]/[\w.-]+/[^" ]*""", file.read_text(encoding="utf-8")) == []
