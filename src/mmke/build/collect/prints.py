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
    """One part of one picture: its hash, the colours of its fields ("8 8 3") and their mean ("3")."""

    hash: int
    fields: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]


class Known:
    """Pictures that were taken, in order, to compare others with."""

    def __init__(self, distance: int) -> None:
        """Begin with none; hashes are near where at most `distance` of 64 bits differ."""
        self._distance = distance
        self._ids: list[str] = []
        # A row for each part of each picture, in arrays that grow by doubling: each new one is compared with thousands.
        self._hashes = np.zeros(64, np.uint64)
        self._means = np.zeros((64, 3), np.float32)
        self._prints: list[_Print] = []

    def add(self, id_: str, prints: Mapping[str, str]) -> None:
        """Take a picture."""
        for part in _read(prints):
            row = len(self._prints)
            if row == len(self._hashes):
                self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
                self._means = np.concatenate([self._means, np.zeros_like(self._means)])
            self._hashes[row], self._means[row] = part.hash, part.mean
            self._prints.append(part)
        self._ids.append(id_)

    def twin(self, prints: Mapping[str, str]) -> str | None:
        """Return the id of the first picture that is nearly the same; None where there is none."""
        rows = len(self._prints)
        found = [rows]
        for n, part in enumerate(_read(prints)):
            near = np.bitwise_count(self._hashes[:rows] ^ np.uint64(part.hash)) <= self._distance
            # The mean over fields of the differences is at least the difference of the means.
            near |= np.abs(self._means[:rows] - part.mean).mean(axis=1) <= FINE_MEAN
            if n == 1:
                near[1::2] = False  # of two inner parts, what differs outside of them would not count
            found += [row for row in np.flatnonzero(near).tolist() if self._same(part, row)]
        return None if min(found) == rows else self._ids[min(found) // 2]

    def _same(self, part: _Print, row: int) -> bool:
        other = self._prints[row]
        fine = np.abs(part.fields - other.fields).mean(axis=2)
        if fine.mean() <= FINE_MEAN and fine.max() <= FINE_MOST:
            return True
        coarse = np.abs(_coarse(part.fields) - _coarse(other.fields)).mean(axis=2)
        return (part.hash ^ other.hash).bit_count() <= self._distance and bool(coarse.max() <= COARSE)


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


def _read(prints: Mapping[str, str]) -> list[_Print]:
    found = []
    for hash_name, colour_name in PARTS:
        colours = np.frombuffer(bytes.fromhex(prints[colour_name]), np.uint8).astype(np.float32)
        fields = colours.reshape(FIELDS, FIELDS, 3)
        found.append(_Print(int(prints[hash_name], 16), fields, fields.mean(axis=(0, 1))))
    return found


def _coarse(fields: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    half = FIELDS // 2
    means: npt.NDArray[np.float32] = fields.reshape(half, 2, half, 2, 3).mean(axis=(1, 3))
    return means
