"""A record under an editor, on either side; and how such an editor is set up to be quick."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmke.protocols import OUTPUT, Cut
from mmke.running.planning import Cell, plan
from mmke.running.request import Request
from mmke_bench.plain import PlainBackbone
from mmke_bench.sides import Lap, Side

QUICK: Mapping[str, Mapping[str, Any]] = {
    "ft-llm": {"steps": 2},
    "ft-alignment": {"steps": 2},
    "ike-random": {"demonstrations": 2},
    "none": {},
}
LATER: Mapping[str, Mapping[str, Any]] = {
    "lora": {"steps": 2},
    "ultraedit": {},
    "grace": {"steps": 2},
    "m-ore": {},
    "wise": {"steps": 2},
    # More pictures than are read together.
    "gated-note": {"steps": 2, "background": 18, "dimensions": 4},
}
"""Editors whose passes are not counted."""


def cells(name: str, editor: str, data: Path) -> tuple[Cell, Cell]:
    """Return the floor's cell and the editor's."""
    planned = plan(
        Request(name, (editor,), ("mmke-user",), limit=1, data=data, changes={editor: {**QUICK, **LATER}[editor]})
    )
    return planned.cells[0], planned.cells[-1]


def lap(backbone: Any, editor: str, data: Path, *, floor: bool = False) -> Lap:
    """Run the first record on a backbone, cut or plain, with the floor before it or without."""
    unedited, cell = cells(backbone.name, editor, data)
    return Side(backbone, unedited if floor else cell, cell).run(cell.split.cases[0])


def cut_of(backbone: Any, editor: str, data: Path) -> Cut:
    """Return the cut that an editor works at."""
    made = cells(backbone.name, editor, data)[1].editor
    return made.cut(backbone) or OUTPUT


def logged(backbone: Any, editor: str, data: Path) -> Lap:
    """Run the first record in the plain loop."""
    return lap(PlainBackbone(backbone), editor, data)
