"""The ways to install this project give the same versions."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONDA = ROOT / "envs" / "mmke.yml"
LOCK = ROOT / "requirements.lock"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda() -> dict[str, Any]:
    return yaml.safe_load(CONDA.read_text())


def conda_pip(conda: dict[str, Any]) -> list[str]:
    (found,) = (part["pip"] for part in conda["dependencies"] if isinstance(part, dict))
    return found


def pins(project: dict[str, Any]) -> dict[str, Requirement]:
    words = [*project["dependencies"], *(word for extra in project["optional-dependencies"].values() for word in extra)]
    return {requirement.name: requirement for requirement in map(Requirement, words)}


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    """The locked versions by the names of their packages, in lower case with hyphens."""
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_every_dependency_is_a_range_with_two_ends(project: dict[str, Any]) -> None:
    loose = [
        str(pin) for pin in pins(project).values() if sorted(each.operator for each in pin.specifier) != ["<", ">="]
    ]
    assert loose == []


def test_the_lock_has_a_version_of_every_dependency_within_its_range(
    project: dict[str, Any], lock: dict[str, str]
) -> None:
    for name, pin in pins(project).items():
        assert pin.specifier.contains(lock[canonicalize_name(name)]), name


def test_what_is_installed_by_make_is_what_is_locked(lock: dict[str, str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert f"LOCK := {LOCK.name}" in makefile
    assert "$(PIP) -c $(LOCK) -e '.[dev]'" in makefile


def test_conda_takes_every_version_from_the_lock(
    project: dict[str, Any], conda: dict[str, Any], lock: dict[str, str]
) -> None:
    options = [word for word in conda_pip(conda) if word.startswith("-")]
    constraints, editable = options
    # conda runs pip in the folder of the file.
    assert (CONDA.parent / constraints.removeprefix("-c ")).resolve() == LOCK
    place, extra = re.fullmatch(r"-e ([^\[]+)\[(\w+)\]", editable).groups()
    assert (CONDA.parent / place).resolve() == ROOT
    assert extra in project["optional-dependencies"]
    assert [word for word in conda_pip(conda) if word not in options] == [f"torch=={lock['torch']}"]


@pytest.mark.parametrize("which", ["lowest", "newest"])
def test_both_ends_of_every_range_can_be_installed_beside_the_locked_torch(
    which: str, project: dict[str, Any], lock: dict[str, str]
) -> None:
    command = [sys.executable, str(ROOT / ".ci" / "versions.py"), which]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert printed[0] == f"torch=={lock['torch']}"
    found = {pin.name: next(iter(pin.specifier)).version for pin in map(Requirement, printed)}
    lowest = {
        name: min(pin.specifier, key=lambda each: each.operator == "<").version for name, pin in pins(project).items()
    }
    assert found == {**(lowest if which == "lowest" else {}), "torch": lock["torch"]}


def test_condas_python_is_one_of_the_projects(project: dict[str, Any], conda: dict[str, Any]) -> None:
    (version,) = (part.partition("=")[2] for part in conda["dependencies"] if str(part).startswith("python="))
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")
    assert f"python{version}" in (ROOT / "Makefile").read_text()


def test_condas_second_command_is_the_makefiles() -> None:
    (command,) = re.findall(r"pip install (--no-deps .*)$", CONDA.read_text(), re.MULTILINE)
    assert command in (ROOT / "Makefile").read_text()
    assert (ROOT / command.split()[-1]).is_file()
