"""The saved edits that every tab begins with: what the page shows of them. Nothing here imports torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmke.edits.pictures import ABSENT, finder
from mmke.edits.record import read_record
from mmke.errors import UserError
from mmke.types import ImageRef
from mmke.web.play.uploads import Uploads


class Begun:
    """The edits of some folders as the page shows them, and their pictures."""

    def __init__(self, folders: Sequence[Path], uploads: Uploads) -> None:
        """Read them.

        Raises:
            UserError: one is broken.
        """
        self.edits: list[dict[str, Any]] = []
        self.pictures: dict[str, ImageRef] = {}
        for folder in folders:
            record = read_record(folder)
            find = finder(folder, record, None)
            for edit in record.edits:
                digest = None if edit.image is None else edit.image.sha256
                self.edits.append({"question": edit.query, "target": edit.target, "picture": digest})
                if digest is not None and find(digest).parent != ABSENT:
                    self.pictures[digest] = _cleaned(uploads, find(digest))

    def picture(self, name: str) -> ImageRef | None:
        """Return a picture by the digest that the edits name."""
        return self.pictures.get(name)


def _cleaned(uploads: Uploads, file: Path) -> ImageRef:
    """Return a picture without anything but its pixels, as one that is chosen on the page."""
    try:
        return uploads.take(file.read_bytes())
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
