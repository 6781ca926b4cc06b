"""Near-duplicates: perceptual prints of a picture, and when two of them are the same picture.

Four prints of each picture: a perceptual hash (`imagehash`) and the mean colours of 8 × 8 fields, of the whole picture
and of its inner part, without `TRIM` of each side. Two pictures are near-duplicates where

* their hashes are near *and* so are the colours of 4 × 4 fields, or
* the colours of 8 × 8 fields are nearly equal, whatever the hashes say: those of flat drawings change with the noise
  of a JPEG file.

A whole picture is compared with the other's inner part too, which finds copies that were cropped a little. The bounds
were measured on 889 drawings of 529 things that come with mmke, among them flags of one layout: the hash alone at a
distance of 10 takes 56 pairs of different things for the same, together with the colours none. Of copies that were
scaled to 70 per cent, cropped by up to 4 per cent of each side and saved as JPEG of quality 60, 99 in 100 are found.
"""

import importlib.util
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmke.errors import UserError

TRIM = 0.03
"""Share of width and height that the inner part lacks on each side."""

FIELDS = 8
COARSE = 16.0
"""Most that a field of 4 × 4 may differ, of 255, mean over red, green and blue, where the hashes are near."""
FINE_MEAN, FINE_MOST = 6.0, 24.0
"""Most that fields of 8 × 8 may differ in the mean and each, where the hashes do not count."""

Colours = npt.NDArray[np.float32]
Parts = tuple[str, str]
PARTS: tuple[Parts, Parts] = (("phash", "colour"), ("phash_inner", "colour_inner"))
"""Names of the prints of the whole picture and of its inner part."""


def require_imagehash() -> None:
    """Make sure that prints can be made.

    Raises:
        UserError: the package that makes them is not installed.
    """
    if importlib.util.find_spec("imagehash") is None:
        raise UserError("pictures are compared by the package ImageHash: pip install 'mmke[build]'")


def prints_of(picture: Image.Image) -> dict[str, str]:
    """Return the prints of an RGB picture, in hexadecimal digits."""
    import imagehash

    x, y = int(picture.width * TRIM), int(picture.height * TRIM)
    inner = picture.crop((x, y, picture.width - x, picture.height - y))
    found = {}
    for part, (hash_name, colour_name) in zip((picture, inner), PARTS, strict=True):
        found[hash_name] = str(imagehash.phash(part))
        found[colour_name] = part.resize((FIELDS, FIELDS), Image.Resampling.BOX).tobytes().hex()
    return found


class _Print(NamedTuple):
    """One part of one picture: its hash, the colours of its fields ("8 8 3"), and those of its quarters ("2 2 3")."""

    hash: int
    fields: Colours
    quarters: Colours


class Known:
    """Pictures that were taken, in order, to compare others with."""

    def __init__(self, distance: int) -> None:
        """Begin with none; hashes are near where at most `distance` of 64 bits differ."""
        self._distance = distance
        self._ids: list[str] = []
        # Two rows for each picture, whole and inner, in arrays that grow by doubling: each new picture is compared
        # with thousands.
        self._hashes = np.zeros(64, np.uint64)
        self._fields = np.zeros((64, FIELDS, FIELDS, 3), np.float32)
        self._quarters = np.zeros((64, 2, 2, 3), np.float32)

    def add(self, id_: str, prints: Mapping[str, str]) -> None:
        """Take a picture."""
        row = 2 * len(self._ids)
        if row == len(self._hashes):
            self._hashes, self._fields, self._quarters = (
                np.concatenate([each, np.zeros_like(each)]) for each in (self._hashes, self._fields, self._quarters)
            )
        for n, part in enumerate(_read(prints), start=row):
            self._hashes[n], self._fields[n], self._quarters[n] = part
        self._ids.append(id_)

    def twin(self, prints: Mapping[str, str]) -> str | None:
        """Return the id of the first picture that is nearly the same; None where there is none."""
        whole, inner = _read(prints)
        rows = 2 * len(self._ids)
        # Inner parts are not compared with each other: what differs outside of them would not count.
        found = [*self._same(whole, slice(0, rows)), *(2 * self._same(inner, slice(0, rows, 2)))]
        return self._ids[int(min(found)) // 2] if found else None

    def _same(self, part: _Print, rows: slice) -> npt.NDArray[np.intp]:
        """Return which of some rows are nearly the same as a part."""
        hashes, fields, quarters = self._hashes[rows], self._fields[rows], self._quarters[rows]
        shaped = np.bitwise_count(hashes ^ np.uint64(part.hash)) <= self._distance
        # The mean difference of all fields is at least that of the quarters, which is quicker to see.
        coloured = np.abs(quarters - part.quarters).mean(axis=(1, 2, 3)) <= FINE_MEAN
        worth = np.flatnonzero(shaped | coloured)
        fine = np.abs(fields[worth] - part.fields).mean(axis=3)
        coarse = np.abs(_means(fields[worth], 4) - _means(part.fields, 4)).mean(axis=3)
        equal = (fine.mean(axis=(1, 2)) <= FINE_MEAN) & (fine.max(axis=(1, 2)) <= FINE_MOST)
        alike = shaped[worth] & (coarse.max(axis=(1, 2)) <= COARSE)
        same: npt.NDArray[np.intp] = worth[equal | alike]
        return same


def near(one: Mapping[str, str], other: Mapping[str, str], distance: int) -> bool:
    """Tell whether two pictures are near-duplicates by their prints.

    Of pictures that other programs collected, with a hash alone, that decides; without one, they are two pictures.
    """
    shared = set(one) & set(other)
    if not shared.issuperset(name for part in PARTS for name in part):
        return "phash" in shared and (int(one["phash"], 16) ^ int(other["phash"], 16)).bit_count() <= distance
    known = Known(distance)
    known.add("one", one)
    return known.twin(other) is not None


def _read(prints: Mapping[str, str]) -> tuple[_Print, _Print]:
    def part(hash_name: str, colour_name: str) -> _Print:
        colours = np.frombuffer(bytes.fromhex(prints[colour_name]), np.uint8).astype(np.float32)
        fields = colours.reshape(FIELDS, FIELDS, 3)
        return _Print(int(prints[hash_name], 16), fields, _means(fields, 2))

    return part(*PARTS[0]), part(*PARTS[1])


def _means(fields: Colours, side: int) -> Colours:
    """Return the colours of `side` × `side` larger fields, from "… 8 8 3"."""
    of = FIELDS // side
    means: Colours = fields.reshape(*fields.shape[:-3], side, of, side, of, 3).mean(axis=(-4, -2))
    return means
