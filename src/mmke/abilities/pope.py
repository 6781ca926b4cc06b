"""POPE (Li et al. 2023, arXiv:2305.10355), as its authors publish it: is an object in a photograph, yes or no.

Read are `pope/coco_pope_random.json`, `…_popular.json` and `…_adversarial.json` (`output/coco` of RUCAIBox/POPE and
AoiDragon/POPE): a JSON object a line with `question_id`, `image`, `text` and `label`. The photographs are those of COCO
val2014, in `pope/val2014/` or `val2014/`. As in common use, the question ends in a request for one word.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmke.abilities.pictures import picture_in
from mmke.abilities.question import Question
from mmke.errors import UserError
from mmke.types import Query

NAME = "pope"
FILES = "coco_pope_*.json"
LAYOUT = "pope/coco_pope_random.json, pope/coco_pope_popular.json, pope/coco_pope_adversarial.json and pope/val2014/"
REQUEST = "Please answer this question with one word."


class Line(NamedTuple):
    """One question as it stands in the files."""

    kind: str
    number: int
    image: str
    text: str
    label: str

    @property
    def id(self) -> str:
        """Return what names it: numbers repeat from file to file."""
        return f"{self.kind}-{self.number}"


def found(data: Path) -> bool:
    """Tell whether the files are there."""
    return any((data / NAME).glob(FILES))


def lines(data: Path) -> dict[str, Line]:
    """Return all questions by their ids.

    Raises:
        UserError: a line is broken; the message names it.
    """
    read = (line for file in sorted((data / NAME).glob(FILES)) for line in _of(file))
    return {line.id: line for line in read}


def question(data: Path, line: Line) -> Question:
    """Return a question with its picture.

    Raises:
        UserError: its picture is not there.
    """
    image = picture_in([data / NAME / "val2014", data / "val2014"], line.image, place=f"{NAME}: {line.id}")
    return Question(line.id, line.kind, Query(f"{line.text} {REQUEST}", image), line.label)


def _of(file: Path) -> Iterator[Line]:
    kind = file.stem.removeprefix("coco_pope_")
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            plain = json.loads(text)
            yield Line(kind, int(plain["question_id"]), *(str(plain[key]) for key in ("image", "text", "label")))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{file}, line {number} is no question of POPE ({type(error).__name__}: {error})"
            ) from error
