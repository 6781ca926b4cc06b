"""Reading a picture's file: one way for the check of the data and for every model. Nothing here imports torch.

Pillow's decoders raise whatever comes up when a file is broken, and warn without naming it. Here a file is either a
picture, or a `BrokenPictureError` with one line that says why.
"""

import base64
import io
import re
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from mmke.errors import UserError

ORIENTATION = 0x0112
"""The EXIF field that says how a stored picture is to be turned; 1: not at all."""

LYING = 5
"""From this orientation on, a picture is turned by 90 or 270 degrees, so that width and height change places."""
BLACK = "mmke:black"
"""In the place of a folder in the path of a black picture."""

_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise for files that are no picture or a broken one, format by format."""


class BrokenPictureError(UserError):
    """A file cannot be read as a picture. The message is the reason, without the file's name."""


def open_picture(path: Path, *, upright: bool = False) -> Image.Image:
    """Read a picture's file to the last pixel.

    Args:
        path: of the file.
        upright: turn the picture as its EXIF orientation says; else it stays as it is stored.

    Raises:
        BrokenPictureError: there is no such file, it is no ordinary file, no picture, or a broken one.
    """
    return decode(read_bytes(path), upright=upright)


def black_path(width: int, height: int) -> Path:
    """Return the path of a black picture of this size in pixels: there is no such file, `read_bytes` makes its content.

    So it needs no place to be written to, and is the same on every machine.
    """
    return Path(f"{BLACK}/{width}x{height}.pbm")


def picture_size(path: Path, *, upright: bool = False) -> tuple[int, int]:
    """Return a picture's width and height in pixels from its header, turned as `open_picture` turns it.

    Raises:
        BrokenPictureError: there is no such file, or it is no picture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(read_bytes(path))) as picture:
                turned = upright and _orientation(picture) >= LYING
                return (picture.height, picture.width) if turned else picture.size
        except _BROKEN as error:
            raise BrokenPictureError(_first_line(error)) from error


class Header(NamedTuple):
    """What a picture's file says of itself before its pixels: Pillow's name of the format, and the size as stored."""

    kind: str
    width: int
    height: int


def header(content: bytes) -> Header:
    """Return format and size from a file's bytes, without decoding a pixel.

    Raises:
        BrokenPictureError: the bytes are no picture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as picture:
                return Header(picture.format or "", *picture.size)
        except _BROKEN as error:
            raise BrokenPictureError(_first_line(error)) from error


def read_bytes(path: Path) -> bytes:
    """Return the content of an ordinary file, which a pipe or a device is not: reading those may never end.

    Of a path of `black_path`, the content that it stands for.

    Raises:
        BrokenPictureError: it cannot be read, or is empty.
    """
    black = re.fullmatch(rf"{BLACK}/(\d+)x(\d+)\.pbm", path.as_posix())
    if black is not None:
        # A portable bitmap: a 1 is black, and each row ends at a whole byte.
        width, height = map(int, black.groups())
        return f"P4\n{width} {height}\n".encode() + b"\xff" * ((width + 7) // 8 * height)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise BrokenPictureError(f"it is {what}, not a file")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise BrokenPictureError(f"it cannot be read: {_first_line(error)}") from error
    if not content:
        raise BrokenPictureError("it is an empty file")
    return content


def decode(content: bytes, *, upright: bool = False) -> Image.Image:
    """Return the picture in a file's bytes, every pixel of it decoded.

    Raises:
        BrokenPictureError: the bytes are no picture, or a broken one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings name no file; `mmke check` tells what matters of them.
        try:
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
                return ImageOps.exif_transpose(picture) if upright and _orientation(picture) > 1 else picture
        except _BROKEN as error:
            raise BrokenPictureError(_first_line(error)) from error


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """Return a copy with at most `side` pixels on each side, in RGB, or in RGBA where it can be seen through."""
    small = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    small.thumbnail((side, side))
    return small


def webp_address(picture: Image.Image, *, side: int, quality: int) -> str:
    """Return an address that holds a small copy of a picture as WebP, for a page that loads nothing.

    Args:
        picture: of any size.
        side: pixels of the copy's longer side, at most.
        quality: from 0 to 100.
    """
    out = io.BytesIO()
    shrunk(picture, side).save(out, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def look(content: bytes, *, thorough: bool) -> int:
    """Look at a picture's bytes; return its EXIF orientation where all was read, else 1.

    Args:
        content: of the file.
        thorough: decode every pixel and compare the file's checksums; else the header alone is read.

    Raises:
        BrokenPictureError: the bytes are no picture, or a broken one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as picture:
                if 0 in picture.size:
                    raise BrokenPictureError(f"it has no pixels ({picture.width} x {picture.height})")
                if not thorough:
                    return 1
                picture.verify()
            # That leaves the picture unusable, so that its pixels need a second opening.
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
                return _orientation(picture)
        except _BROKEN as error:
            raise BrokenPictureError(_first_line(error)) from error


def _orientation(picture: Image.Image) -> int:
    """Return a picture's EXIF orientation from 1 to 8; 1 where it has none, or EXIF data that cannot be read."""
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if value in range(1, 9) else 1


def _first_line(error: BaseException) -> str:
    # Pillow's text for an unknown format ends in the address of a buffer, which tells the user nothing.
    text = str(error).partition("<_io")[0].strip() or type(error).__name__
    return text.splitlines()[0]
