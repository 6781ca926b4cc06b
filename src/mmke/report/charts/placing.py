"""Where the names of a scatter's points stand, so that none lies on another, on a point, or outside."""

from collections.abc import Sequence
from math import cos, radians, sin
from typing import NamedTuple

RADII = (1.0, 1.8, 2.8, 4.0, 5.5, 7.0, 8.5)
"""Distances of a name from its point that are tried, in heights of the text."""
ANGLES = (0, -45, 45, 180, -90, 90, -135, 135, -20, 20, 160, -160)
LEADER = 1.5
"""From this distance on a line leads from the point to its name."""
WIDE = 0.62
"""Width of a letter by the height of the text."""


class Placed(NamedTuple):
    """The left end of a name and the middle of its height, in pixels, and whether a line leads to it."""

    x: float
    y: float
    leader: bool


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def place(
    points: Sequence[tuple[float, float]], names: Sequence[str], *, width: int, height: int, size: int
) -> list[Placed]:
    """Return the place of each name.

    Args:
        points: of the names, in pixels from the upper left corner; those behind the last name have none and are only
            kept free.
        names: to place, the first few points' own.
        width: of the panel.
        height: of the panel.
        size: of the text.
    """
    half = 0.55 * size
    taken = [_Box(x - half, y - half, x + half, y + half) for x, y in points]
    found = []
    for (x, y), name in zip(points, names, strict=False):
        text = WIDE * size * len(name)
        options = [each for each in _options(x, y, text, size) if _inside(each[1], width, height)]
        # The nearest place that is free, else the one that covers least.
        placed, box = min(options or _options(x, y, text, size), key=lambda each: sum(map(each[1].meets, taken)))
        taken.append(box)
        found.append(placed)
    return found


def _options(x: float, y: float, text: float, size: int) -> list[tuple[Placed, _Box]]:
    found = []
    for radius in RADII:
        for angle in ANGLES:
            across, down = cos(radians(angle)), sin(radians(angle))
            # The side of the name that faces the point is at the distance; above and below, its middle.
            left = x + radius * size * across - text * (1 - across) / 2
            middle = y + radius * size * down
            box = _Box(left - 2, middle - 0.6 * size, left + text + 2, middle + 0.6 * size)
            found.append((Placed(left, middle, radius >= LEADER), box))
    return found


def _inside(box: _Box, width: int, height: int) -> bool:
    return box.left >= 0 and box.right <= width and box.top >= -4 and box.bottom <= height + 4
