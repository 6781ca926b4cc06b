"""MMBench (Liu et al. 2023, arXiv:2307.06281), as its authors publish it: questions on pictures, with choices.

Read is the table of the development set, `mmbench/MMBench_DEV_EN.tsv` or `mmbench/mmbench_dev_20230712.tsv`: columns
`index`, `question`, `hint`, `A` to `D`, `answer`, `category` and `image`, which holds the picture in base64, or the
index of the row that does. Rows from 1,000,000 on repeat a question with its choices turned, and are left out.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from mmke.abilities.choices import LETTERS, with_choices
from mmke.abilities.pictures import picture_of
from mmke.abilities.question import Question
from mmke.errors import UserError
from mmke.types import Query

NAME = "mmbench"
FILES = ("MMBench_DEV_EN.tsv", "mmbench_dev_20230712.tsv", "mmbench_dev_en_20231003.tsv")
LAYOUT = " or ".join(f"mmbench/{name}" for name in FILES)
TURNED = 1_000_000
"""From this index on a row repeats another one with its choices in another order."""
COLUMNS = {"index", "question", "A", "B", "answer", "image"}
LARGEST = 64 << 20
"""Characters of a cell that are read at most: the pictures."""

Row = dict[str, str]


def found(data: Path) -> bool:
    """Tell whether the file is there."""
    return any((data / NAME / name).is_file() for name in FILES)


def lines(data: Path) -> dict[str, Row]:
    """Return all rows of questions by their index; the pictures stay in base64.

    Raises:
        UserError: the table lacks a column.
    """
    file = next(file for name in FILES if (file := data / NAME / name).is_file())
    rows = {row["index"]: row for row in _rows(file)}
    for index, row in rows.items():
        named = row["image"].strip()
        if named in rows:
            row["image"] = rows[named]["image"]
        if row["answer"] not in _letters(row):
            raise UserError(f"{file}: question {index} has the answer {row['answer']!r}, which is none of its choices")
    return {index: row for index, row in rows.items() if int(index) < TURNED}


def question(data: Path, row: Row) -> Question:
    """Return a question with its picture.

    Raises:
        UserError: the picture cannot be read.
    """
    image = picture_of(row["image"].strip(), place=f"{NAME}: question {row['index']}")
    text = with_choices(row["question"], [row[letter] for letter in _letters(row)], hint=row.get("hint", ""))
    return Question(row["index"], row.get("category") or "all", Query(text, image), row["answer"])


def _letters(row: Row) -> list[str]:
    return [letter for letter in LETTERS if row.get(letter)]


def _rows(file: Path) -> Iterator[Row]:
    csv.field_size_limit(min(LARGEST, sys.maxsize))
    with file.open(encoding="utf-8", newline="") as opened:
        table = csv.DictReader(opened, delimiter="\t")
        lacking = sorted(COLUMNS - set(table.fieldnames or ()))
        if lacking:
            raise UserError(f"{file} is no table of MMBench: it lacks the columns {', '.join(lacking)}")
        try:
            for row in table:
                # The tables were written by pandas, which leaves nothing, or "nan", where there is no value.
                yield {key: "" if value in (None, "nan") else value for key, value in row.items() if key}
        except csv.Error as error:
            raise UserError(f"{file}, line {table.line_num} cannot be read ({error})") from error
