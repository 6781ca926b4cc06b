"""The small models' own questions: about drawings in the package that were held out of their training.

`held_out.jsonl` has, for each of 274 drawings, what is shown, in a usual and in a new wording, its group, colour and
meaning, and facts of flags; `recipes/smol/held_out.py` wrote it. A larger model is asked the same, but the answers are
the names that the small ones learned.

These drawings are also the rephrased pictures of mini records. A question is left out where an edit is about the thing
that it shows: another answer is then what the edit is for.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from mmke.abilities.question import Question
from mmke.benchmarks.embedded import FOLDER
from mmke.types import Edit, ImageRef, Query

NAME = "held-out"
PICTURES = FOLDER / "data_image"
LINES = "held_out.jsonl"


def plain_questions() -> list[dict[str, str]]:
    """Return the lines of the file, without reading pictures."""
    text = (files("mmke.abilities") / LINES).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def read(wanted: Iterable[dict[str, str]]) -> list[Question]:
    """Return some lines as questions; their pictures are read for their digests."""
    return [
        Question(each["id"], each["kind"], Query(each["question"], _picture(each["picture"])), each["answer"])
        for each in wanted
    ]


def shown_in(edits: Iterable[Edit]) -> frozenset[str]:
    """Return the things that the pictures of edits show, as far as these are pictures of the package."""
    digests = {edit.query.image.sha256 for edit in edits if edit.query.image is not None}
    if not digests:
        return frozenset()
    return frozenset(
        part["thing"] for path, parts in _manifest().items() for part in parts if _digest(PICTURES / path) in digests
    )


def thing_of(plain: dict[str, str]) -> str:
    """Return the thing that a question's picture shows."""
    return str(_manifest()[plain["picture"]][0]["thing"])


def _picture(path: str) -> ImageRef:
    file = PICTURES / path
    return ImageRef(file, _digest(file))


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _manifest() -> dict[str, Any]:
    return dict(json.loads((PICTURES / "manifest.json").read_text(encoding="utf-8"))["pictures"])
