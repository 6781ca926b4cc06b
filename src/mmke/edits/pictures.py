"""Pictures of edits without their paths: by digest, embedded in the edit's folder, or looked for in a folder.

In: facts of a session, in which a picture is its path and digest. Out: the same with the digest alone, and back. No
path is written, since it would tell others where files lie here; and none is read, since others could name any file.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmke.digests import sha256
from mmke.edits.record import PICTURES, EditRecord, PlainEdit, broken
from mmke.errors import UserError
from mmke.pictures import BrokenPictureError, header, read_bytes
from mmke.types import Edit, ImageRef, Query

HERE = "mmke-picture"
"""In the place of a picture's path and digest."""
ABSENT = Path("mmke:picture-that-is-not-embedded")
"""In the place of the folder of a picture that was not found; reading it says so by its name."""
LARGEST = 64 << 20
"""Bytes of an embedded picture that are read at most."""

Find = Callable[[str], Path]
"""Returns the file of a picture by its digest."""


def without_paths(value: Any) -> Any:
    """Return facts in which each picture is its digest alone."""
    if isinstance(value, dict):
        if {"path", "sha256"} <= value.keys():
            return {HERE: value["sha256"], "upright": value.get("upright", True)}
        return {key: without_paths(each) for key, each in value.items()}
    return [without_paths(each) for each in value] if isinstance(value, (list, tuple)) else value


def with_paths(value: Any, find: Find) -> Any:
    """Return facts in which each picture has a path again.

    Raises:
        ValueError: the facts name a path.
    """
    if isinstance(value, dict):
        if HERE in value:
            digest = str(value[HERE])
            return {"path": str(find(digest)), "sha256": digest, "upright": value.get("upright", True)}
        if "path" in value:
            raise ValueError("the facts name a path; pictures go by their digests")
        return {key: with_paths(each, find) for key, each in value.items()}
    return [with_paths(each, find) for each in value] if isinstance(value, list) else value


def needed(value: Any) -> set[str]:
    """Return the digests of the pictures that facts without paths name: those that the session itself may read."""
    if isinstance(value, dict):
        own = {str(value[HERE])} if HERE in value else set()
        return own.union(*(needed(each) for each in value.values()))
    return set().union(*(needed(each) for each in value)) if isinstance(value, list) else set()


def plain_edit(edit: Edit) -> PlainEdit:
    """Return an edit as a record has it."""
    image = edit.query.image
    picture = None if image is None else {"sha256": image.sha256, "upright": image.upright}
    return PlainEdit.model_validate(
        {"query": edit.query.text, "target": edit.target, "original": edit.original, "image": picture}
    )


def edit_of(plain: PlainEdit, find: Find) -> Edit:
    """Return the edit of a record."""
    found = plain.image
    image = None if found is None else ImageRef(find(found.sha256), found.sha256, found.upright)
    return Edit(Query(plain.query, image), plain.target, plain.original)


def embed(folder: Path, images: Iterable[ImageRef]) -> dict[str, str]:
    """Copy pictures into an edit's folder, and return their file names by digest.

    Raises:
        UserError: one cannot be read any more, or was changed since the edit was made.
    """
    names: dict[str, str] = {}
    for image in images:
        try:
            content = read_bytes(image.path)
            kind = header(content).kind.lower()
        except BrokenPictureError as error:
            raise UserError(f"the picture {image.path} cannot be put into the edit: {error}") from error
        if hashlib.sha256(content).hexdigest() != image.sha256:
            raise UserError(f"the picture {image.path} was changed since the edit was made; put the old one back")
        names[image.sha256] = f"{image.sha256}.{kind if kind.isalnum() and len(kind) <= 8 else 'picture'}"
        (folder / PICTURES).mkdir(exist_ok=True)
        (folder / PICTURES / names[image.sha256]).write_bytes(content)
    return names


def finder(folder: Path, record: EditRecord, elsewhere: Path | None) -> Find:
    """Return what finds the pictures of an edit: embedded, or in a folder that the user names.

    Raises:
        UserError: an embedded picture is missing, too large or another one; the folder is not there.
    """
    found = {digest: _checked(folder, digest, name) for digest, name in record.pictures.items()}
    if elsewhere is not None:
        found = _among(elsewhere, record.pictured | needed(record.facts)) | found
    return lambda digest: found.get(digest, ABSENT / digest)


def _checked(folder: Path, digest: str, name: str) -> Path:
    file = folder / PICTURES / name
    if file.is_symlink() or file.parent.is_symlink() or not file.is_file():
        raise broken(file, "there is no such ordinary file")
    if file.stat().st_size > LARGEST:
        raise broken(file, f"it has more than {LARGEST} bytes")
    if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        raise broken(file, "its content has another sha256 than its name says")
    return file


def _among(folder: Path, digests: set[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"--pictures {folder}: there is no such folder")
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.stat().st_size <= LARGEST)
    return {digest: file for file in files if (digest := sha256(file)) in digests}
