"""The edits that a user gives: a list in a JSON file, or the records of a benchmark. No torch here.

In: the path of a file, or the name of a benchmark. Out: batches of edits, and the training records beside them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.errors import UserError, did_you_mean
from mmke.pictures import BrokenPictureError, look, read_bytes
from mmke.types import Edit, EditCase, ImageRef, Query, Switches

KEYS = ("query", "target", "image", "original")
LARGEST = 256 << 20
"""Bytes of a file of edits that are read at most."""


class Given(NamedTuple):
    """What is to be edited.

    Attributes:
        batches: each is applied together.
        train: training records of the benchmark; empty for a plain list.
        benchmark: its name; None for a plain list.
    """

    batches: tuple[tuple[Edit, ...], ...]
    train: tuple[EditCase, ...] = ()
    benchmark: str | None = None


def read_given(name: str, *, switches: Switches, data: Path | None, limit: int, batch: int) -> Given:
    """Read the edits of a file, or of a benchmark's evaluation records.

    Args:
        name: path of a JSON list of `{"query", "target", "image"}`, or what `--benchmark` takes.
        switches: of the protocol, for records.
        data: folder of benchmarks that are not embedded.
        limit: edits, or records, of which the first are taken; 0: all.
        batch: edits, or records, that are applied together.

    Raises:
        UserError: the file is broken, or a picture cannot be read; the message names the edit.
    """
    plain = None if name in registry.names("benchmarks") else _plain(Path(name))
    if plain is not None:
        edits = [[edit] for edit in _edits(Path(name), plain)]
        return Given(_batches(name, edits, limit, batch))
    benchmark = open_benchmark(name, data=data)
    split = benchmark.load("eval", hop=0, switches=switches)
    train = benchmark.load("train", hop=0, switches=switches).cases
    return Given(_batches(name, [case.edits for case in split.cases], limit, batch), train, benchmark.name)


def _batches(name: str, units: Sequence[Sequence[Edit]], limit: int, batch: int) -> tuple[tuple[Edit, ...], ...]:
    taken = units[: limit or None]
    if not taken:
        raise UserError(f"{name} holds no edit")
    groups = (taken[begin : begin + batch] for begin in range(0, len(taken), batch))
    return tuple(tuple(edit for unit in group for edit in unit) for group in groups)


def _plain(file: Path) -> list[Any] | None:
    """Return what a file holds where it is a list of edits; None where it is something else, such as records."""
    if file.suffix.lower() != ".json" or not file.is_file():
        return None
    if file.stat().st_size > LARGEST:
        raise UserError(f"{file} has {file.stat().st_size} bytes, and at most {LARGEST} are read; divide it")
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as JSON ({error})") from error
    listed = [found] if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise UserError(f'{file} holds no list; write edits as [{{"query": "…", "target": "…", "image": "a.png"}}]')
    # Records of the published format have neither of these keys.
    return listed if any(isinstance(each, dict) and {"query", "target"} & each.keys() for each in listed) else None


def _edits(file: Path, plain: Sequence[Any]) -> Iterator[Edit]:
    for number, each in enumerate(plain, 1):
        place = f"{file}: edit {number}"
        if not isinstance(each, dict):
            raise UserError(f'{place} is no object; write it as {{"query": "…", "target": "…"}}')
        for key in each:
            if key not in KEYS:
                raise UserError(f"{place} has an unknown key {key!r}{did_you_mean(str(key), KEYS)}")
        for key in ("query", "target"):
            if not isinstance(each.get(key), str) or not each[key].strip():
                raise UserError(f"{place} has no {key}: give a text")
        for key in ("image", "original"):
            if not isinstance(each.get(key, ""), str | None):
                raise UserError(f"{place}: its {key} is no text")
        yield Edit(Query(each["query"], _image(file, place, each)), each["target"].strip(), each.get("original"))


def _image(file: Path, place: str, plain: Mapping[str, Any]) -> ImageRef | None:
    if not plain.get("image"):
        return None
    path = Path(plain["image"]).expanduser()
    return picture_at(path if path.is_absolute() else file.parent / path, place)


def picture_at(path: Path, place: str) -> ImageRef:
    """Return a reference to a picture that was looked at.

    Raises:
        UserError: it cannot be read; the message begins with `place`.
    """
    try:
        content = read_bytes(path)
        look(content, thorough=True)
    except BrokenPictureError as error:
        raise UserError(f"{place}: the picture {path} cannot be read: {error}") from error
    return ImageRef(path, hashlib.sha256(content).hexdigest())
