"""The page on protocols: its switches are the code's, and what it says of the paper's tables is in them."""

import json
import re
from importlib.resources import files
from pathlib import Path

from mmke.types import PAPER, STRICT

PAGE = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")


def test_the_switches_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| `([^`]+)` \| ", PAGE, re.MULTILINE)
    strict, paper = ({name: str(value) for name, value in each.as_dict().items()} for each in (STRICT, PAPER))
    assert {name: value for name, value, _ in rows} | {"protocol": "strict"} == {
        name: value.lower() if value in ("True", "False") else value for name, value in strict.items()
    }
    assert {name: value for name, _, value in rows} | {"protocol": "paper"} == {
        name: value.lower() if value in ("True", "False") else value for name, value in paper.items()
    }


def test_the_papers_two_sets_of_tables_differ_as_it_says() -> None:
    table = json.loads(files("mmke.report").joinpath("published.json").read_text(encoding="utf-8"))["single_edit"]
    mend = {
        row["revision"]: row["t_rel"]
        for row in table
        if (row["backbone"], row["editor"], row["type"]) == ("LLaVA-1.5", "MEND", "entity")
    }
    assert f"T-Rel is {mend['submission']:.2f} in the first and {mend['camera-ready']:.2f} in the second" in PAGE
    assert any(row["revision"] == "camera-ready" and "doubtful" in row for row in table)
