"""What came of a run by several workers."""

from pathlib import Path
from typing import NamedTuple


class Problem(NamedTuple):
    """What was left out, and why."""

    what: str
    why: str


class Outcome(NamedTuple):
    """The folders of all cells, and what was left out."""

    folders: list[Path]
    problems: list[Problem]
