"""Reading a picture's file for a model, and processing it with a class of the library."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from mmke.backbones.reason import reason
from mmke.errors import CannotAskError, UserError
from mmke.pictures import BrokenPictureError, open_picture
from mmke.types import ImageRef


def read_picture(image: ImageRef) -> Image.Image:
    """Read a picture, with at most 8 bits a channel.

    Raises:
        CannotAskError: the file cannot be read as a picture.
    """
    try:
        picture = open_picture(image.path, upright=image.upright)
    except BrokenPictureError as error:
        raise CannotAskError(
            f"{image.path} cannot be read as a picture ({error}); `mmke check` lists all such files"
        ) from error
    return _eight_bits(picture)


@contextmanager
def refused(image: ImageRef, model: str) -> Iterator[None]:
    """Say of which picture it is when a model's own processing refuses one.

    Raises:
        CannotAskError: it does.
    """
    try:
        yield
    except CannotAskError:
        raise
    except (UserError, ValueError, ArithmeticError, LookupError, TypeError, OSError, MemoryError) as error:
        cause = error.__cause__ if isinstance(error, UserError) and error.__cause__ is not None else error
        raise CannotAskError(f"{image.path} is refused by {model}'s own processing ({reason(cause)})") from error


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
