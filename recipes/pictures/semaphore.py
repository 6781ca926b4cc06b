"""Draw flag-semaphore signallers: a second, plain drawing of what openclipart's artist drew."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

ARM = 78
FLAG = 40


def signaller(arms: Sequence[int], *, pixels: int) -> Image.Image:
    """Return a figure whose arms point at `arms`, in eighths of a turn clockwise from straight down."""
    picture = Image.new("RGB", (pixels, pixels), "white")
    pen = ImageDraw.Draw(picture)
    middle, shoulder = pixels // 2, int(pixels * 0.46)
    pen.ellipse((middle - 17, shoulder - 46, middle + 17, shoulder - 12), fill="#e0b088", outline="black", width=2)
    pen.rounded_rectangle((middle - 20, shoulder - 10, middle + 20, shoulder + 52), 8, fill="#27408b", outline="black")
    for side in (-1, 1):
        pen.line((middle + side * 10, shoulder + 50, middle + side * 14, pixels - 8), fill="#222222", width=13)
    for arm in arms:
        _arm(pen, (middle, shoulder), angle=arm * math.pi / 4)
    return picture


def _arm(pen: ImageDraw.ImageDraw, start: tuple[int, int], *, angle: float) -> None:
    # clockwise from straight down as the onlooker sees it: down, down-left, left, up-left, ...
    along = (-math.sin(angle), math.cos(angle))
    across = (along[1], -along[0])
    hand = (start[0] + ARM * 0.55 * along[0], start[1] + ARM * 0.55 * along[1])
    tip = (start[0] + (ARM + 22) * along[0], start[1] + (ARM + 22) * along[1])
    pen.line((*start, *hand), fill="#27408b", width=12)
    pen.line((*hand, *tip), fill="#5b3a1e", width=4)
    corner = (tip[0] - FLAG * along[0], tip[1] - FLAG * along[1])
    outer = (tip[0] + FLAG * across[0], tip[1] + FLAG * across[1])
    inner = (corner[0] + FLAG * across[0], corner[1] + FLAG * across[1])
    pen.polygon([tip, outer, inner, corner], fill="#f2c200")
    pen.polygon([tip, outer, corner], fill="#d02020")
    pen.polygon([tip, outer, inner, corner], outline="black")
