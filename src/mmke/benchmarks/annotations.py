"""An annotation file, read record by record: one JSON list of flat objects, or one object a line (`.jsonl`)."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmke.benchmarks.formats.fields import Fields, meant
from mmke.benchmarks.formats.mmke import KNOWN_BY
from mmke.benchmarks.formats.recognise import FORMATS, MMKE, Format, recognise
from mmke.benchmarks.formats.record import Record
from mmke.benchmarks.pictures import Pictures
from mmke.benchmarks.problems import Problems

LINES = ".jsonl"
NOTHING = object()
"""Stands for a JSON value that could not be read."""


class Annotations(NamedTuple):
    """What a file holds: its raw records, and the format that they are in."""

    file: Path
    raws: Sequence[object]
    form: Format


class Numbered(NamedTuple):
    """A record with its position in the file; None in its place when it is skipped by rule."""

    position: int
    record: Record | None


class _Repeating(dict[str, Any]):
    """A JSON object that gives a key more than once, of which the last value counts."""

    twice: tuple[str, ...] = ()


def read_file(file: Path, problems: Problems) -> Annotations:
    """Read a file; it has no raw records after a problem that makes the whole of it unreadable."""
    raws = _read_raws(file, problems)
    return Annotations(file, raws, recognise(raws))


def told_format(annotations: Annotations) -> str:
    """Return in words which format a file is in; one that no format fits is judged as MMKE-Bench's."""
    names = {name for raw in annotations.raws if isinstance(raw, dict) for name in raw}
    if annotations.form is MMKE and names and not names & KNOWN_BY:
        return f"none of the known formats ({', '.join(form.name for form in FORMATS)}); judged as {MMKE.name}"
    return f"format of {annotations.form.name}"


def _read_raws(file: Path, problems: Problems) -> Sequence[object]:
    try:
        content = file.read_bytes()
    except OSError as error:
        problems.add(file, f"cannot be read: {error.strerror}")
        return []
    if content.startswith(b"\xef\xbb\xbf"):
        # The published loader stops at it; the rest is read all the same, so that all problems are told at
        # once.
        problems.add(file, "begins with a byte-order mark; expected UTF-8 without one")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start} is 0x{content[error.start]:02x}"
        problems.add(file, f"is not UTF-8 ({wrong}); expected UTF-8 without a byte-order mark")
        return []
    if file.suffix.lower() == LINES:
        return _read_lines(text, file, problems)
    raws = _parse(text, file, problems)
    if isinstance(raws, list):
        if not raws:
            problems.add(file, "holds an empty list; expected at least one record")
        return raws
    if raws is not NOTHING:
        problems.add(file, f"expected one list of records, found {json.dumps(raws)[:60]}")
    return []


def _read_lines(text: str, file: Path, problems: Problems) -> Sequence[object]:
    # Not `splitlines`: that also divides at characters that may stand within a JSON text.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    raws = [_parse(line, file, problems, first=number) for number, line in lines]
    if not raws:
        problems.add(file, "holds no record; expected one JSON object a line")
    return [] if any(raw is NOTHING for raw in raws) else raws


def _parse(text: str, file: Path, problems: Problems, *, first: int = 1) -> object:
    """Return the JSON value, or `NOTHING` after a problem; `first` is the number of the text's first line."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        hint = f" (one record a line? name the file …{LINES})" if error.msg == "Extra data" and first == 1 else ""
        line = error.lineno + first - 1
        problems.add(file, f"is not JSON: {error.msg} at line {line}, column {error.colno}{hint}")
    except ValueError as error:
        problems.add(file, f"holds a number that cannot be read: {str(error).partition(':')[0]}")
    except RecursionError:
        problems.add(file, "is nested too deeply; expected one list of flat objects")
    return NOTHING


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating, names = _Repeating(found), [name for name, _ in pairs]
    repeating.twice = tuple(name for name in found if names.count(name) > 1)
    return repeating


def read_records(
    annotations: Annotations, pictures: Pictures, problems: Problems, *, ports: bool, thorough: bool = True
) -> Iterator[Numbered]:
    """Yield the records of a file in order, those without a description as None.

    Problems go to `problems`; a record that cannot be judged at all is left out. `ports` says whether the portability
    questions are read; `thorough` makes a problem of an empty question or answer too.
    """
    file, raws, form = annotations
    for position, raw in enumerate(raws):
        report = problems.at(file, position)
        for name in dict.fromkeys(_given_twice(raw)):
            report(name, "given twice; expected once, since the earlier value would be lost")
        if isinstance(raw, dict) and raw.get("alt") == "":
            # The published loader skips such a record unread.
            yield Numbered(position, None)
        elif not isinstance(raw, dict):
            problems.add(file, f"expected an object, found {json.dumps(raw)[:60]}", record=position)
        else:
            record = form.read(Fields(raw, report, pictures, thorough), ports=ports)
            if record is not None:
                yield Numbered(position, record)


class Unread(NamedTuple):
    """A name in the records that means nothing in their format: in how many, and what was probably meant, or ""."""

    name: str
    records: int
    meant: str


def unread(annotations: Annotations) -> list[Unread]:
    """Return the names in the records that mean nothing, each judged by the first record that has it."""
    first: dict[str, dict[str, Any]] = {}
    counts: Counter[str] = Counter()
    for raw in annotations.raws:
        if isinstance(raw, dict):
            names = raw.keys() - annotations.form.fields
            counts.update(names)
            first = dict.fromkeys(names, raw) | first
    known = annotations.form.fields
    return [Unread(name, count, meant(name, first[name], known)) for name, count in sorted(counts.items())]


def _given_twice(value: object) -> Iterator[str]:
    """Yield the keys that an object, or one inside it, gives more than once."""
    if isinstance(value, dict):
        yield from getattr(value, "twice", ())
        for inner in value.values():
            yield from _given_twice(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _given_twice(inner)
