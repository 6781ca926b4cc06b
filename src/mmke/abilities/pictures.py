"""Pictures of published suites: files that are looked for in folders, and bytes that a table holds."""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mmke.errors import UserError
from mmke.pictures import BrokenPictureError, header, read_bytes
from mmke.types import ImageRef


def picture_in(folders: Sequence[Path], name: str, *, place: str) -> ImageRef:
    """Return the picture of a name in the first folder that has it.

    Raises:
        UserError: none has it, or it cannot be read; the message begins with `place`.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{place}: its picture {name!r} is no name of a file in {folders[0]}")
    file = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if file is None:
        raise UserError(f"{place}: its picture {name} is in none of {', '.join(map(str, folders))}")
    try:
        return ImageRef(file, hashlib.sha256(read_bytes(file)).hexdigest())
    except BrokenPictureError as error:
        raise UserError(f"{place}: the picture {file} cannot be read: {error}") from error


def picture_of(encoded: str, *, place: str) -> ImageRef:
    """Return a picture that a table holds in base64; it is put into the user's cache folder under its digest.

    Raises:
        UserError: it is no picture; the message begins with `place`.
    """
    try:
        content = base64.b64decode(encoded, validate=True)
        header(content)
    except (binascii.Error, ValueError, BrokenPictureError) as error:
        raise UserError(f"{place}: its picture cannot be read: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmke" / "pictures"
    file = folder / digest
    if not file.is_file() or file.stat().st_size != len(content):
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{digest}.{os.getpid()}"  # another process may write the same picture
        draft.write_bytes(content)
        draft.replace(file)
    return ImageRef(file, digest)
