"""The figures that the published benchmark printed, to stand beside ours.

`published.json` holds the tables of the paper's two revisions; the camera-ready one is used. They are of single edits,
with portability questions of one hop, under the arithmetic of protocol `paper`.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from mmke.report.cells import CellSummary

REVISION = "camera-ready"
BACKBONES: Mapping[str, str] = {
    "BLIP2-OPT": "blip2-opt-2.7b",
    "MiniGPT-4": "minigpt4-7b",
    "LLaVA-1.5": "llava-1.5-7b",
}
"""The paper's names and ours; an editor's name is the paper's in lower case."""


KINDS = ("t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port")
"""The columns of the paper's tables."""


class Published(NamedTuple):
    """One printed row: figures in per cent by headline metric, and why they are doubtful, if they are."""

    figures: Mapping[str, float]
    doubtful: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return {"figures": dict(self.figures), "doubtful": self.doubtful}


def published_rows(cells: Sequence[CellSummary]) -> list[Published | None]:
    """Return the printed row of each cell; None where the paper has none.

    KE's printed figures are micro averages, and stand beside ours that are. A cell of hop 0 asks the printed questions
    less portability; of more hops than one nothing was printed.
    """
    table = json.loads(files("mmke.report").joinpath("published.json").read_text(encoding="utf-8"))
    rows = {_key(row): _published(row) for row in table["single_edit"] if row["revision"] == REVISION}
    return [
        rows.get((cell.backbone, cell.editor, cell.benchmark)) if cell.hop <= 1 and cell.as_published else None
        for cell in cells
    ]


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return BACKBONES[row["backbone"]], row["editor"].lower(), f"mmke-{row['type']}"


def _published(row: Mapping[str, Any]) -> Published:
    return Published({kind: float(row[kind]) for kind in KINDS}, row.get("doubtful"))
