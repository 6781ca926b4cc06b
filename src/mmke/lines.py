"""JSON lines: one object a line, the same bytes for the same content, and errors that name the line.

NaN is no JSON: numbers are rounded to six decimals, and one that is not finite becomes null. A kill can leave half a
line at the end of a file; it is passed over. Anything else that cannot be read was edited by hand, and is an error.
"""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from pydantic import ValidationError

from mmke.errors import UserError

DECIMALS = 6
ANEW = "delete its folder and run again"

Content = TypeVar("Content")


@dataclass(slots=True)
class Line(Generic[Content]):
    """One line of a file: which, the byte at which it ends, and what it holds."""

    file: Path
    number: int
    end: int
    content: Content

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.file}, line {self.number}"


def to_line(plain: Mapping[str, Any]) -> bytes:
    """Return an object as one line of JSON in UTF-8, with its newline.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate, which a data file may hold, has no UTF-8; its backslash form happens to be JSON's own escape.
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        ValueError: the line is not UTF-8 or not JSON.
        TypeError: it holds something else than an object.
    """
    try:
        plain = json.loads(line.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(plain, dict):
        raise TypeError(f"a JSON object was expected, not {type(plain).__name__}")
    return plain


def validated(validate: Callable[[object], Content], plain: object) -> Content:
    """Return an object as its type; `validate` is pydantic's.

    Raises:
        ValueError: a field is missing or of another type; the message names it.
    """
    try:
        return validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        raise ValueError(f"{place}: {first['msg']}{given}") from error


def read_lines(
    file: Path,
    parse: Callable[[bytes], Content],
    *,
    parse_all: Callable[[bytes], list[Content]] | None = None,
    way_out: str = ANEW,
) -> list[Line[Content]]:
    """Return the complete lines of a file; one without its newline is what a kill left.

    Args:
        file: one that is not there has no lines.
        parse: reads one line.
        parse_all: reads a JSON array of all lines, which is quicker.
        way_out: what else than restoring it the user can do about a line that cannot be read.

    Raises:
        UserError: a line cannot be read; the message names it.
    """
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    ends = accumulate(len(line) + 1 for line in lines)
    contents = _together(lines, parse_all) if parse_all is not None else None
    if contents is None:
        contents = [
            _parsed(line, parse, f"{file}, line {number}", way_out) for number, line in enumerate(lines, start=1)
        ]
    return [
        Line(file, number, end, content) for number, (end, content) in enumerate(zip(ends, contents, strict=True), 1)
    ]


def _parsed(line: bytes, parse: Callable[[bytes], Content], place: str, way_out: str) -> Content:
    try:
        return parse(line)
    except (ValueError, TypeError) as error:
        raise edited(place, str(error), way_out) from error


def _together(lines: Sequence[bytes], parse_all: Callable[[bytes], list[Content]]) -> list[Content] | None:
    """Return what all lines hold; None where one of them cannot be read, which is then looked for line by line."""
    try:
        found = parse_all(b"[" + b",".join(lines) + b"]")
    except ValueError:
        return None
    return found if len(found) == len(lines) else None


def edited(place: str, why: str, way_out: str = ANEW) -> UserError:
    """Return the error for a line that no run has left like this."""
    return UserError(f"{place}: {why}; was the file edited? Restore it, or {way_out}")


def put(file: BinaryIO, content: bytes) -> None:
    """Write to a file so that the content survives a kill and a power cut.

    Raises:
        OSError: the disk is full or gone; it names the file.
    """
    try:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or file.name
        raise


def write_file(file: Path, content: bytes) -> None:
    """Write a whole file.

    Raises:
        OSError: the disk is full or gone; it names the file.
    """
    try:
        file.write_bytes(content)
    except OSError as error:
        error.filename = error.filename or str(file)
        raise


def write_at_once(file: Path, content: bytes) -> None:
    """Write a file so that, whenever the machine stops, either the old or the new content is there."""
    draft = file.with_name(f"{file.name}.tmp")
    with draft.open("wb") as out:
        put(out, content)
    draft.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were created or renamed in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rounded(number: float | None) -> float | None:
    """Return a number to six decimals; None where it is not finite."""
    if number is None or not math.isfinite(number):
        return None
    return round(float(number), DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond every number")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
