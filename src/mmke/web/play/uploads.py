"""Pictures that come from the browser: never kept as they came, but decoded, made smaller and written anew.

In: bytes. Out: an `ImageRef` to a PNG in the server's own folder, whose name is the digest of its bytes.
"""

import hashlib
import io
import threading
from pathlib import Path

from mmke.errors import UserError
from mmke.pictures import BrokenPictureError, decode, header, shrunk
from mmke.types import ImageRef

MOST_BYTES = 16 << 20
"""Of an uploaded file."""
MOST_PIXELS = 50_000_000
"""Of an uploaded picture; more are not decoded."""
MOST_KEPT = 300
"""Pictures that one start keeps."""
LONGEST_SIDE = 1024
"""In pixels; larger pictures are made smaller, as models do anyway."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO")
"""Pillow's names of what is read; decoders of other formats are never called."""


class Uploads:
    """The pictures of one start."""

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder that is the server's own."""
        self._folder = folder
        self._kept: dict[str, ImageRef] = {}
        self._lock = threading.Lock()  # files with edits are read in the worker's thread

    def get(self, name: str) -> ImageRef | None:
        """Return a picture by the digest of its bytes."""
        return self._kept.get(name)

    def take(self, content: bytes) -> ImageRef:
        """Keep a picture.

        Raises:
            UserError: the bytes are no picture of a known format, a broken or a huge one, or too many are kept.
        """
        png = clean(content)
        name = hashlib.sha256(png).hexdigest()
        with self._lock:
            if name not in self._kept:
                if len(self._kept) >= MOST_KEPT:
                    raise UserError(f"{MOST_KEPT} pictures are kept, and no more; start the command again")
                file = self._folder / f"{name}.png"
                file.write_bytes(png)
                self._kept[name] = ImageRef(file, name)
            return self._kept[name]


def clean(content: bytes) -> bytes:
    """Return a picture as a PNG without anything but its pixels.

    Raises:
        UserError: it is none, a broken or a huge one.
    """
    if len(content) > MOST_BYTES:
        raise UserError(f"The file has {len(content) >> 20} MiB; at most {MOST_BYTES >> 20} are taken.")
    try:
        kind, width, height = header(content)
        if kind not in FORMATS:
            raise UserError(f"A picture of the format {kind or 'unknown'} is not taken; give a PNG, JPEG or WebP.")
        if width * height > MOST_PIXELS:
            raise UserError(f"The picture has {width} × {height} pixels; at most {MOST_PIXELS:,} in all are taken.")
        plain = shrunk(decode(content, upright=True), LONGEST_SIDE)
        plain.info = {}
        written = io.BytesIO()
        plain.save(written, "PNG")
    except BrokenPictureError as error:
        raise UserError(f"This is no picture that can be read ({error}).") from error
    return written.getvalue()
