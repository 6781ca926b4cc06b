"""ScienceQA (Lu et al. 2022, arXiv:2209.09513), as its authors publish it: school questions with choices.

Read are `scienceqa/problems.json` (`data/scienceqa` of lupantech/ScienceQA) and, of the questions of the test split,
those with a picture (ScienceQA-IMG): `scienceqa/images/test/ID/image.png`, or the same without `images/`.
"""

import json
from pathlib import Path
from typing import Any

from mmke.abilities.choices import LETTERS, with_choices
from mmke.abilities.pictures import picture_in
from mmke.abilities.question import Question
from mmke.errors import UserError
from mmke.types import Query

NAME = "scienceqa"
FILE = "problems.json"
LAYOUT = f"scienceqa/{FILE} and scienceqa/images/test/"

Problem = dict[str, Any]


def found(data: Path) -> bool:
    """Tell whether the file is there."""
    return (data / NAME / FILE).is_file()


def lines(data: Path) -> dict[str, Problem]:
    """Return the problems of the test split that have a picture, by their ids.

    Raises:
        UserError: the file is broken.
    """
    file = data / NAME / FILE
    try:
        problems = json.loads(file.read_text(encoding="utf-8"))
        chosen = {
            id_: each | {"id": id_} for id_, each in problems.items() if each["split"] == "test" and each["image"]
        }
        wrong = [id_ for id_, each in chosen.items() if not 0 <= each["answer"] < len(each["choices"]) <= len(LETTERS)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is not the file of ScienceQA ({type(error).__name__}: {error})") from error
    if wrong:
        raise UserError(f"{file}: the answer of problem {wrong[0]} is none of its choices")
    return chosen


def question(data: Path, problem: Problem) -> Question:
    """Return a question with its picture.

    Raises:
        UserError: its picture is not there.
    """
    folders = [data / NAME / "images", data / NAME]
    image = picture_in(folders, f"test/{problem['id']}/{problem['image']}", place=f"{NAME}: problem {problem['id']}")
    text = with_choices(problem["question"], problem["choices"], hint=problem.get("hint") or "")
    kind = str(problem.get("subject") or "all")
    return Question(str(problem["id"]), kind, Query(text, image), LETTERS[problem["answer"]])
