"""The tables of the source `folder`: rows of things.csv, things.jsonl or things.toml, and of pictures.csv.

Every row becomes names with texts, and remembers where it stands. What cannot be read is told all at once, each with
its place; a value that is merely unsuitable is left to whoever uses it.
"""

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.lines import json_object

Values = Mapping[str, str]

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_DELIMITERS = ",;\t"
BETWEEN = "|"
"""Stands between several values in one cell."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands, for messages, and its values by column; empty ones are left out."""

    place: str
    values: Values


def read_table(file: Path) -> list[Row]:
    """Return the rows of a .csv, .jsonl or .toml file.

    Raises:
        UserError: the file or some of its lines cannot be read; every problem on a line of its own.
    """
    reader: Callable[[Path, str], Iterator[Row | str]] = {".csv": _csv, ".jsonl": _jsonl, ".toml": _toml}[file.suffix]
    rows = list(reader(file, _text(file)))
    problems = [row for row in rows if isinstance(row, str)]
    if problems:
        raise UserError("\n".join(problems))
    return [row for row in rows if isinstance(row, Row)]


def plain(text: str) -> str:
    """Return a text with single blanks, in the composed form of its letters: macOS takes names of files apart.

    Control characters, which can steer a terminal or turn the direction of a text around, become blanks.
    """
    return " ".join(_UNSEEN.sub(" ", unicodedata.normalize("NFC", text)).split())


def _text(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")  # spreadsheets put a mark before the first letter
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}, line {line}: not UTF-8; save the table as UTF-8 (“CSV UTF-8”)") from error


def _csv(file: Path, text: str) -> Iterator[Row | str]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            place, start = f"{file}, line {start}", reader.line_num + 1
            if columns is None:
                columns = [plain(cell) for cell in cells]
                problem = _columns_problem(columns, place)
                if problem is not None:
                    yield problem
                    return
            elif len(cells) > len(columns):
                yield (
                    f"{place}: {len(cells)} cells under {len(columns)} columns; put a value that holds "
                    f"{delimiter!r} between double quotes"
                )
            elif any(cell.strip() for cell in cells):
                yield _row(place, zip(columns, cells, strict=False))
    except csv.Error as error:
        yield f"{file}, line {start}: no CSV ({error}); is a double quote missing?"


def _columns_problem(columns: list[str], place: str) -> str | None:
    seen: set[str] = set()
    for column in columns:
        if column and column.casefold() in seen:
            return f"{place}: two columns are called {column!r}; a thing has one value of each relation"
        seen.add(column.casefold())
    return None


def _jsonl(file: Path, text: str) -> Iterator[Row | str]:
    for number, line in enumerate(text.split("\n"), start=1):
        place = f"{file}, line {number}"
        if not line.strip():
            continue
        try:
            yield _from_object(place, json_object(line.encode()))
        except (ValueError, TypeError) as error:
            yield f"{place}: {error}"


def _toml(file: Path, text: str) -> Iterator[Row | str]:
    try:
        found = tomllib.loads(text)
    except ValueError as error:
        yield f"{file} is no TOML ({error})"
        return
    things = found.get("things")
    if set(found) != {"things"} or not isinstance(things, list) or not all(isinstance(each, dict) for each in things):
        yield f"{file}: each thing is a table of its own, headed [[things]], and nothing else stands in the file"
        return
    for number, thing in enumerate(things, start=1):
        place = f"{file}, thing {number}"
        try:
            yield _from_object(place, thing)
        except TypeError as error:
            yield f"{place}: {error}"


def _from_object(place: str, found: Mapping[str, Any]) -> Row:
    return _row(place, ((key, _as_text(key, value)) for key, value in found.items()))


def _as_text(key: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return BETWEEN.join(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{key} is {value!r}; a text or a number was expected")


def _row(place: str, cells: Any) -> Row:
    values = {plain(column): plain(cell) for column, cell in cells}
    return Row(place, {column: value for column, value in values.items() if column and value})
