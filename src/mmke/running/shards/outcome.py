"""What came of a run by several workers."""

from pathlib import Path
from typing import NamedTuple

from mmke.workers.problems import Problem


class Outcome(NamedTuple):
    """The folders of all cells, and what was left out."""

    folders: list[Path]
    problems: list[Problem]
