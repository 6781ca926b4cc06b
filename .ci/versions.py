"""Print a constraints file for pip: the lowest or the newest versions that `pyproject.toml` allows.

The newest are those that pip chooses by itself. torch stays at the version of `requirements.lock`, which is the build
that is at hand.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(which: str) -> None:
    """Print one `name==version` a line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = re.findall(r"^torch==.*$", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    print(torch)
    ranges = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    for each in sorted(set(ranges)) if which == "lowest" else []:
        name, lowest = re.fullmatch(r"([\w.-]+)>=([\w.]+),<[\w.]+", each).groups()  # type: ignore[union-attr]
        if name != "torch":
            print(f"{name}=={lowest}")


if __name__ == "__main__":
    main(sys.argv[1])
