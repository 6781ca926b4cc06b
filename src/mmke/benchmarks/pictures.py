"""Pictures by the path that an annotation file gives: found, looked at, and identified by their sha256."""

import hashlib
import os
import posixpath
from pathlib import Path
from typing import NamedTuple

from mmke.pictures import BrokenPictureError, look, read_bytes
from mmke.types import ImageRef

NO_PICTURE = ImageRef(Path(), "")
"""Stands where no picture could be found; never leaves a load, which has a problem to raise then."""


class Fault(NamedTuple):
    """What is wrong with a picture; `stops` tells whether a run cannot begin before it is mended."""

    text: str
    stops: bool = True


class Pictures:
    """The pictures below one folder, each file read once however often it is referred to.

    `upright` says whether models read them turned as their EXIF orientation says.
    `decode` reads every pixel, which finds truncated files and takes about 10 ms a picture; without it only
    the header is read, which finds missing files and files that are no pictures.

    Attributes:
        root: the folder.
        n_turned: pictures whose EXIF orientation is not 1; counted while decoding.
    """

    def __init__(self, root: Path, *, decode: bool, upright: bool = True) -> None:
        self.root = root
        self.n_turned = 0
        self._present = root.is_dir()
        self._decode = decode
        self._upright = upright
        self._seen: dict[str, ImageRef | Fault] = {}
        self._names: dict[Path, dict[str, str]] = {}

    @property
    def n_found(self) -> int:
        """Return how many distinct pictures were found in order."""
        return sum(isinstance(seen, ImageRef) for seen in self._seen.values())

    def find(self, value: str) -> ImageRef | Fault:
        """Return the picture at a path relative to the folder, or what is wrong with it.

        Where the folder itself is missing every picture counts as found: that is one problem, not thousands.
        """
        if not self._present:
            return NO_PICTURE
        if value not in self._seen:
            self._seen[value] = self._look(value)
        return self._seen[value]

    def _look(self, value: str) -> ImageRef | Fault:
        # Compared as text, not resolved: data folders are often made of links, as the hub's own cache is.
        tidy = posixpath.normpath(value)
        if posixpath.isabs(tidy) or tidy == ".." or tidy.startswith("../"):
            return Fault(f"{value!r} leads out of the picture folder {self.root}; expected a path relative to it")
        path = self.root / value
        if "\0" in value or not os.path.lexists(path):
            return Fault(f"no picture {value!r} under {self.root}{self._guess(value)}")
        readable = False
        try:
            content = read_bytes(path)
            look(content, thorough=False)
            readable = True
            self.n_turned += self._decode and look(content, thorough=True) > 1
        except BrokenPictureError as error:
            text = f"{value!r} under {self.root} is no picture, or a broken one: {error}"
            # A run reads headers before it begins, and what it cannot decode later is unscored.
            return Fault(text, stops=not readable)
        return ImageRef(path, hashlib.sha256(content).hexdigest(), self._upright)

    def _guess(self, value: str) -> str:
        """Name the picture that was probably meant: the same path with other slashes or in other case."""
        path = self.root
        for wanted in value.replace("\\", "/").split("/"):
            if path not in self._names:
                # Listed once: thousands of pictures may be missing from one folder.
                self._names[path] = {each.name.lower(): each.name for each in path.iterdir()} if path.is_dir() else {}
            near = self._names[path].get(wanted.lower())
            if near is None:
                return ""
            path /= near
        return f"; did you mean {path.relative_to(self.root).as_posix()!r}? (names differ by case, and folders by /)"
