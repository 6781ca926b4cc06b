"""Reading a picture's file, and making it ready with a processor of the library."""

import struct
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from mmke.errors import UserError
from mmke.types import ImageRef


def read_picture(image: ImageRef) -> Image.Image:
    """Read a picture, with at most 8 bits a channel.

    Raises:
        UserError: the file cannot be read as a picture.
    """
    try:
        with Image.open(image.path) as picture:
            picture.load()
    except (OSError, SyntaxError, RuntimeError, struct.error, Image.DecompressionBombError) as error:
        raise UserError(
            f"{image.path} cannot be read as a picture ({error}); `mmke check` lists all such files"
        ) from error
    return _eight_bits(picture)


def processed(picture: Image.Image, processor: Any) -> Tensor:
    """Return a picture as a tower reads it [3 height width].

    As MMKE-Bench does, transparency is dropped, where the library's present processors would lay it on white.
    """
    pixels: Tensor = processor(picture.convert("RGB"), return_tensors="pt")["pixel_values"][0]
    return pixels


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return greyscale of 16 bits scaled to 8; Pillow's own conversion clips it to white."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, dtype=np.float64) / 257).round().clip(0, 255).astype(np.uint8))
