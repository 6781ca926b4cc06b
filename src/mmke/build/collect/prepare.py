"""A picture's bytes as the project keeps them: upright, RGB, of bounded size, and with nothing in them but pixels.

Files can hold where and by whom a photograph was taken, comments, thumbnails of what was cut away, and whole films
behind the last pixel. Therefore every picture is encoded anew from its pixels: JPEG files and those of other formats
that lose detail as JPEG, all others as PNG.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from mmke.build.collect.prints import prints_of
from mmke.errors import UserError
from mmke.pictures import decode, header

LONG_SIDE = 1024
"""Larger pictures are reduced to this many pixels; no supported model looks at more than 672."""
MOST_PIXELS = 120_000_000
"""A picture of more would take over 360 MB of memory when it is decoded."""
QUALITY = 95
VERSION = 1
"""Of what is done here: pictures are read again when it changes."""

_LOSSLESS = ("PNG", "GIF", "BMP", "TIFF", "PPM")


class UnsuitableError(UserError):
    """A picture that cannot be used; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as the project keeps it: the file's content and the end of its name, its size and its prints."""

    content: bytes
    suffix: str
    width: int
    height: int
    prints: dict[str, str]


def prepare(content: bytes, *, short_side: int) -> Prepared:
    """Return a picture as the project keeps it.

    Args:
        content: of the file, in any format that Pillow reads. Of an animation, the first picture is taken.
        short_side: least number of pixels on the short side.

    Raises:
        BrokenPictureError: the bytes are no picture, or a broken one.
        UnsuitableError: it is too small, too large, or nothing is to be seen.
    """
    kind, width, height = header(content)
    if width * height > MOST_PIXELS:
        raise UnsuitableError(f"{width} x {height} px: over {MOST_PIXELS // 1_000_000} million pixels; reduce it")
    picture = decode(content, upright=True)
    size = picture.size
    picture = _reduced(_rgb(picture), max(LONG_SIDE, 2 * short_side))
    if min(picture.size) < short_side:
        before = "" if picture.size == size else f", reduced to {picture.width} x {picture.height}"
        raise UnsuitableError(f"{size[0]} x {size[1]} px{before}: the short side is under {short_side}")
    out = io.BytesIO()
    if kind in _LOSSLESS:
        picture.save(out, "PNG")
    else:
        picture.save(out, "JPEG", quality=QUALITY)
    return Prepared(out.getvalue(), ".png" if kind in _LOSSLESS else ".jpg", *picture.size, prints_of(picture))


def _reduced(picture: Image.Image, most: int) -> Image.Image:
    scale = most / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _rgb(picture: Image.Image) -> Image.Image:
    """Return a picture in RGB of the usual colour space, on white where it was transparent, without metadata."""
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I;16"):
        # 16 bits of grey, as scanners and medical devices store it; Pillow's own conversion would cut off the light.
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        picture = _on_white(picture)
    elif picture.mode not in ("RGB", "CMYK", "L"):
        picture = picture.convert("RGB")
    if profile:
        picture = _usual_colours(picture, profile)
    picture = picture.convert("RGB")
    picture.info = {}
    return picture


def _on_white(picture: Image.Image) -> Image.Image:
    layered = picture.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    flat = Image.alpha_composite(white, layered).convert("RGB")
    if all(low == high == 255 for low, high in flat.getextrema()):  # type: ignore[misc]  # a pair for each colour
        raise UnsuitableError("its transparent parts are laid on white, on which nothing of it is to be seen")
    return flat


def _usual_colours(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        usual = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, own, usual, outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture  # a profile that is broken, or of other colours than the picture's, is of no use to anybody
