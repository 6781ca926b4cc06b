"""A plain list of edits in a JSON file: `[{"query", "target", "image"}]`. No torch here.

In: the path of a file. Out: its edits, with pictures that were looked at. Pictures are relative to the file's folder.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmke.errors import UserError, did_you_mean
from mmke.pictures import BrokenPictureError, look, read_bytes
from mmke.types import Edit, ImageRef, Query

KEYS = ("query", "target", "image", "original")
LARGEST = 256 << 20
"""Bytes of a file of edits that are read at most."""


def plain_edits(file: Path) -> list[Edit] | None:
    """Return the edits of a file where it is a list of edits; None where it is something else, such as records.

    Raises:
        UserError: the file is broken, or a picture cannot be read; the message names the edit.
    """
    plain = _plain(file)
    return None if plain is None else list(_edits(file, plain))


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
