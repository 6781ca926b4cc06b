"""A picture of two things side by side, made of a picture of each."""

import io
from pathlib import Path

from PIL import Image

from mmke.pictures import open_picture

TALLEST = 512
"""Pixels. The models look at fewer."""
GAP = 16
"""Pixels of white between the two."""


def side_by_side(left: Path, right: Path) -> bytes:
    """Return a PNG file of two pictures of the same height, the smaller one's or `TALLEST`.

    Raises:
        BrokenPictureError: a file is no picture, or a broken one.
    """
    both = [open_picture(file).convert("RGB") for file in (left, right)]
    height = min(TALLEST, *(picture.height for picture in both))
    first, second = (_of_height(picture, height) for picture in both)
    made = Image.new("RGB", (first.width + GAP + second.width, height), "white")
    made.paste(first, (0, 0))
    made.paste(second, (first.width + GAP, 0))
    out = io.BytesIO()
    made.save(out, "PNG")
    return out.getvalue()


def _of_height(picture: Image.Image, height: int) -> Image.Image:
    if picture.height == height:
        return picture
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS)
