"""An annotation file, read record by record: one JSON list of flat objects."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mmke.benchmarks.pictures import Pictures
from mmke.benchmarks.problems import Problems
from mmke.benchmarks.records import Record, has_no_description, read_record


class Numbered(NamedTuple):
    """A record with its position in the file; None in its place when it is skipped by rule."""

    position: int
    record: Record | None


def read_list(file: Path, problems: Problems) -> Sequence[object]:
    """Return the raw records of a file; none after a problem that makes the whole file unreadable."""
    try:
        content = file.read_bytes()
    except OSError as error:
        problems.add(file, f"cannot be read: {error.strerror}")
        return []
    if content.startswith(b"\xef\xbb\xbf"):
        # The published loader stops at it; the rest is read all the same, so that all problems are told at
        # once.
        problems.add(file, "begins with a byte-order mark; expected UTF-8 without one")
    raws = _parse(content, file, problems)
    if isinstance(raws, list) and not raws:
        problems.add(file, "holds an empty list; expected at least one record")
    elif raws is not None and not isinstance(raws, list):
        problems.add(file, f"expected one list of records, found {json.dumps(raws)[:60]}")
    return raws if isinstance(raws, list) else []


def _parse(content: bytes, file: Path, problems: Problems) -> object:
    """Return the JSON value, or None after a problem."""
    try:
        value: object = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start} is 0x{content[error.start]:02x}"
        problems.add(file, f"is not UTF-8 ({wrong}); expected UTF-8 without a byte-order mark")
        return None
    except json.JSONDecodeError as error:
        hint = " (one record a line? expected one list of all records)" if error.msg == "Extra data" else ""
        problems.add(file, f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}{hint}")
        return None
    except ValueError as error:
        problems.add(file, f"holds a number that cannot be read: {str(error).partition(':')[0]}")
        return None
    except RecursionError:
        problems.add(file, "is nested too deeply; expected one list of flat objects")
        return None
    if value is None:
        problems.add(file, "expected one list of records, found null")
    return value


def read_records(
    raws: Iterable[object], file: Path, pictures: Pictures, problems: Problems, *, ports: bool, thorough: bool = True
) -> Iterator[Numbered]:
    """Yield the records of a file in order, those without a description as None.

    Problems go to `problems`; a record that cannot be judged at all is left out.
    """
    for position, raw in enumerate(raws):
        if has_no_description(raw):
            yield Numbered(position, None)
        elif not isinstance(raw, dict):
            problems.add(file, f"expected an object, found {json.dumps(raw)[:60]}", record=position)
        else:
            record = read_record(raw, problems.at(file, position), pictures, ports=ports, thorough=thorough)
            if record is not None:
                yield Numbered(position, record)
