"""Small pictures for a page: 128 pixels, WebP, each picture once however often it is asked about.

A picture whose file is gone, or is not the one that the run read any more, is not shown, and the page says why.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from mmke.pictures import BrokenPictureError, decode, read_bytes, webp_address
from mmke.types import ImageRef

SIDE = 128
"""Pixels of the longer side."""
QUALITY = 70


@dataclass
class Thumbnails:
    """The pictures of a page.

    Attributes:
        shown: whether pictures are wanted.
        made: in the order of their numbers, which `add` gives: `src`, an address that holds the picture, or `why`
            there is none; `name` of the file.
    """

    shown: bool = True
    made: list[dict[str, Any]] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, image: ImageRef | None) -> int | None:
        """Return the number of a picture; None where there is no picture."""
        if image is None:
            return None
        if image.key not in self._numbers:
            self._numbers[image.key] = len(self.made)
            self.made.append({"name": image.path.name, **self._picture(image)})
        return self._numbers[image.key]

    def _picture(self, image: ImageRef) -> dict[str, str]:
        if not self.shown:
            return {"why": "pictures were left out (--pictures none)"}
        try:
            content = read_bytes(image.path)
            if hashlib.sha256(content).hexdigest() != image.sha256:
                return {"why": "the file is not the one that the run read"}
            picture = decode(content, upright=image.upright)
            return {"src": webp_address(picture, side=SIDE, quality=QUALITY)}
        except BrokenPictureError as error:
            return {"why": f"the file cannot be read: {error}"}
