"""The ways to install this project give the same versions."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
CONDA = ROOT / "envs" / "mmke.yml"


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


def test_every_version_is_pinned(project: dict[str, Any]) -> None:
    assert [name for name, pin in pins(project).items() if not re.fullmatch(r"==[\w.]+", str(pin.specifier))] == []


def test_the_makefile_and_conda_install_the_projects_torch(project: dict[str, Any], conda: dict[str, Any]) -> None:
    torch = str(pins(project)["torch"])
    (makefile,) = re.findall(r"^TORCH := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"torch=={makefile}" == torch
    assert torch in conda_pip(conda)


def test_conda_takes_every_other_version_from_the_project(project: dict[str, Any], conda: dict[str, Any]) -> None:
    (editable,) = (word for word in conda_pip(conda) if word.startswith("-e "))
    place, extra = re.fullmatch(r"-e ([^\[]+)\[(\w+)\]", editable).groups()
    # conda runs pip in the folder of the file.
    assert (CONDA.parent / place).resolve() == ROOT
    assert extra in project["optional-dependencies"]
    named = {word.partition("==")[0] for word in conda_pip(conda) if not word.startswith("-e ")}
    assert named == {"torch"}


def test_condas_python_is_one_of_the_projects(project: dict[str, Any], conda: dict[str, Any]) -> None:
    (version,) = (part.partition("=")[2] for part in conda["dependencies"] if str(part).startswith("python="))
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")
    assert f"python{version}" in (ROOT / "Makefile").read_text()


def test_condas_second_command_is_the_makefiles() -> None:
    (command,) = re.findall(r"pip install (--no-deps .*)$", CONDA.read_text(), re.MULTILINE)
    assert command in (ROOT / "Makefile").read_text()
    assert (ROOT / command.split()[-1]).is_file()
