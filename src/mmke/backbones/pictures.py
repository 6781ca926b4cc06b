"""Reading a picture's file."""

import struct

import numpy as np
from PIL import Image

from mmke.types import ImageRef, UserError


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


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return greyscale of 16 bits scaled to 8; Pillow's own conversion clips it to white."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, dtype=np.float64) / 257).round().clip(0, 255).astype(np.uint8))
