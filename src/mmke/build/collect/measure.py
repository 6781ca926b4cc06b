"""What one picture is by itself: its licence, whether it can be read, its size and prints, and its name."""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmke.build.collect.licences import licence, why_refused
from mmke.build.collect.prepare import VERSION, prepare
from mmke.build.content import Picture
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.build.protocols import FoundPicture
from mmke.build.settings import Collecting
from mmke.errors import UnreachableError, UserError
from mmke.lines import write_file

_LONGEST = 60
"""Most letters of a name; file systems take 255 bytes, and copies of a project go into deeper folders."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A picture, judged.

    Attributes:
        picture: its line; `refused` says why it cannot be used.
        inputs: digest of what it was made from.
        content: of its file, where it was read in this run.
        again: reads it anew.
    """

    picture: Picture
    inputs: str
    content: bytes | None
    again: Callable[[], "Measured"]

    def refuse(self, why: str) -> "Measured":
        """Return it refused; a reason that it has already stays."""
        if self.picture.refused is not None:
            return self
        return Measured(self.picture.model_copy(update={"refused": why}), self.inputs, self.content, self.again)

    def at_hand(self, file: Path) -> "Measured":
        """Return it with its content, or as it is where its file is there; a file that was lost is read anew."""
        if self.content is not None or is_kept(file, self.picture.sha256):
            return self
        return self.again()

    def write(self, file: Path) -> None:
        """Write its file, unless it is there. Half a file, which a kill can leave, is found by its digest."""
        if self.content is not None and not is_kept(file, self.picture.sha256):
            write_file(file, self.content)


def measure(project: Project, thing: str, found: FoundPicture, *, collect: Collecting | None = None) -> Measured:
    """Judge a picture by itself; what its line says holds as long as its inputs are the same.

    Args:
        project: whose lines are looked up.
        thing: id of what it shows.
        found: the picture.
        collect: what is asked of it; None: what the project's settings ask.

    Raises:
        UnreachableError: its source does not answer.
    """
    collect = collect or project.settings.collect
    stated = (found.origin, found.author, found.licence, found.licence_url, found.version)
    inputs = digest_of(thing, stated, collect.short_side, sorted(collect.licences), VERSION)

    def anew() -> Measured:
        return _read(collect, thing, found, inputs)

    name = stem(thing, found.origin)
    for suffix in (".jpg", ".png", ""):
        entry = project.pictures.get(name + suffix)
        if entry is not None and entry.inputs == inputs:
            # With prints, it was fit by itself, and refused for another picture's sake if at all.
            kept = entry.content.model_copy(update={"refused": None}) if entry.content.prints else entry.content
            return Measured(kept, inputs, None, anew)
    return anew()


def stem(thing: str, origin: str) -> str:
    """Return the name of a picture's file, without its end: type and thing in plain letters, and a digest."""
    plain = unicodedata.normalize("NFKD", thing).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST].strip("-")
    return f"{words or 'thing'}-{digest_of(thing, origin)[:10]}"


def _read(collect: Collecting, thing: str, found: FoundPicture, inputs: str) -> Measured:
    stated = licence(found.licence)
    picture = Picture(
        id=stem(thing, found.origin),
        thing=thing,
        origin=found.origin,
        author=found.author,
        licence=stated.name,
        licence_url=found.licence_url or stated.url,
        refused=why_refused(stated, collect.licences),
    )

    def anew() -> Measured:
        return _read(collect, thing, found, inputs)

    if picture.refused is not None:
        return Measured(picture, inputs, None, anew)
    try:
        prepared = prepare(found.read(), short_side=collect.short_side)
    except UnreachableError:
        raise
    except UserError as error:
        return Measured(picture.model_copy(update={"refused": str(error)}), inputs, None, anew)
    update = {
        "id": picture.id + prepared.suffix,
        "sha256": hashlib.sha256(prepared.content).hexdigest(),
        "width": prepared.width,
        "height": prepared.height,
        "prints": prepared.prints,
    }
    return Measured(picture.model_copy(update=update), inputs, prepared.content, anew)


def is_kept(file: Path, sha256: str) -> bool:
    """Tell whether a picture's file is there as it was written."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        return False
