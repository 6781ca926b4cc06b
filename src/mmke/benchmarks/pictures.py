"""Pictures by the path that an annotation file gives: found, looked at, and identified by their sha256."""

import hashlib
import io
import posixpath
import struct
import zlib
from pathlib import Path

from PIL import Image

from mmke.types import ImageRef

NO_PICTURE = ImageRef(Path(), "")
"""Stands where no picture could be found; never leaves a load, which has a problem to raise then."""

# What Pillow raises for files that are no picture or a broken one, format by format.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class Pictures:
    """The pictures below one folder, each file read once however often it is referred to.

    `decode` reads every pixel, which finds truncated files and takes about 10 ms a picture; without it only
    the header is read, which finds missing files and files that are no pictures.
    """

    def __init__(self, root: Path, *, decode: bool) -> None:
        self.root = root
        self._present = root.is_dir()
        self._decode = decode
        self._seen: dict[str, ImageRef | str] = {}

    @property
    def n_found(self) -> int:
        """Return how many distinct pictures were found in order."""
        return sum(isinstance(seen, ImageRef) for seen in self._seen.values())

    def find(self, value: str) -> ImageRef | str:
        """Return the picture at a path relative to the folder, or what is wrong with it.

        Where the folder itself is missing every picture counts as found: that is one problem, not thousands.
        """
        if not self._present:
            return NO_PICTURE
        if value not in self._seen:
            self._seen[value] = self._look(value)
        return self._seen[value]

    def _look(self, value: str) -> ImageRef | str:
        # Compared as text, not resolved: data folders are often made of links, as the hub's own cache is.
        tidy = posixpath.normpath(value)
        if posixpath.isabs(tidy) or tidy == ".." or tidy.startswith("../"):
            return f"{value!r} leads out of the picture folder {self.root}; expected a path relative to it"
        path = self.root / value
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return f"no picture {value!r} under {self.root}"
        except (OSError, ValueError) as error:
            return f"picture {value!r} under {self.root} cannot be read: {error}"
        if not content:
            return f"picture {value!r} under {self.root} is an empty file"
        try:
            _look_inside(content, decode=self._decode)
        except _BROKEN as error:
            return f"{value!r} under {self.root} is no picture, or a broken one: {_first_line(error)}"
        return ImageRef(path, hashlib.sha256(content).hexdigest())


def _look_inside(content: bytes, *, decode: bool) -> None:
    """Raise one of `_BROKEN` unless the bytes are a picture."""
    with Image.open(io.BytesIO(content)) as image:
        size = image.size
        if decode:
            image.verify()
    if 0 in size:
        raise ValueError(f"it has no pixels ({size[0]} x {size[1]})")
    if decode:
        # `verify` leaves the picture unusable, so that reading the pixels needs a second opening.
        with Image.open(io.BytesIO(content)) as image:
            image.load()


def _first_line(error: BaseException) -> str:
    # Pillow's text for an unknown format ends in the address of a buffer, which tells the user nothing.
    text = str(error).partition("<_io")[0].strip() or type(error).__name__
    return text.splitlines()[0]
