"""Read the file of a grid.

In: the path of a TOML file, or the name of a grid that comes with mmke (`grids/`). Out: a `GridFile`. Every mistake in
it is told at once, each with the key, the value and the way out.
"""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmke.errors import UserError, did_you_mean
from mmke.grid.mistakes import follows, mistakes, told
from mmke.grid.tables import GridFile


def shipped() -> dict[str, Path]:
    """Return the grids that come with mmke, by name."""
    folder = Path(str(files("mmke.grid"))) / "grids"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def find(named: str) -> Path:
    """Return the file of a grid: that of a path, or one that comes with mmke.

    Raises:
        UserError: there is neither; the message lists the names.
    """
    path = Path(named).expanduser()
    if path.is_file():
        return path
    known = shipped()
    if named not in known:
        raise UserError(
            f"{named}: there is no such file, and no grid of this name{did_you_mean(named, known)}; "
            f"mmke brings {', '.join(known)}"
        )
    return known[named]


def read(path: Path) -> GridFile:
    """Read a grid's file.

    Raises:
        UserError: it is no TOML, or says something that cannot be run; every mistake is listed.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    try:
        grid = GridFile.model_validate(_with_tuples(plain))
    except ValidationError as error:
        raise _refused(path, dict.fromkeys(told(each) for each in error.errors() if not follows(each))) from error
    problems = list(mistakes(grid))
    if problems:
        raise _refused(path, problems)
    return grid


def _refused(path: Path, problems: Iterable[str]) -> UserError:
    return UserError("\n  ".join([f"{path} cannot be run:", *problems]))


def _with_tuples(plain: Any) -> Any:
    """Return TOML's lists as tuples, since what is read cannot be changed."""
    if isinstance(plain, dict):
        return {key: _with_tuples(value) for key, value in plain.items()}
    return tuple(map(_with_tuples, plain)) if isinstance(plain, list) else plain
