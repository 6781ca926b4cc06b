"""The table that compares editors on the small model is what was measured, column by column."""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
SIX = ("t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port")
ROW = re.compile(r"^\| `([\w-]+)` \| (\d.+) \|$", re.MULTILINE)


def in_page(heading: str) -> dict[str, list[float]]:
    """Return the figures of each editor below a heading; a dash stands for what was not measured."""
    text = (
        (DOCS / "editors" / "index.md").read_text(encoding="utf-8").partition(f"## {heading}")[2].partition("\n## ")[0]
    )
    return {editor: [float(cell) for cell in cells.split(" | ") if cell != "–"] for editor, cells in ROW.findall(text)}


def test_single_edits_near_misses_and_streams() -> None:
    streams = json.loads((DOCS / "streams.json").read_text(encoding="utf-8"))
    singles = {
        cell["editor"]: [cell["metrics"][name]["value"] for name in (*SIX, "hard_loc")]
        for cell in streams["hard"]
        if (cell["backbone"], cell["benchmark"], cell["protocol"]) == ("smol-llava", "mini-entity", "strict")
    }
    ends = {
        cell["editor"]: [cell["columns"][name]["final"]["value"] for name in ("i_rel", "t_loc")]
        for cell in streams["lifelong"]
    }
    expected = {
        editor: [round(value, 1) for value in (*some, *ends.get(editor, ()))] for editor, some in singles.items()
    }
    assert in_page("How they compare on the small model") == expected


def test_single_edits_are_those_of_the_page_on_results() -> None:
    cells = json.loads((DOCS / "results.json").read_text(encoding="utf-8"))
    expected = {
        cell["editor"]: [round(cell["metrics"][name]["value"], 1) for name in SIX]
        for cell in cells
        if (cell["backbone"], cell["benchmark"], cell["protocol"]) == ("smol-llava", "mini-entity", "strict")
    }
    assert {editor: some[:6] for editor, some in in_page("How they compare on the small model").items()} == expected
