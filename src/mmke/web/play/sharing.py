"""The last answers as one file that opens anywhere: no script, nothing from elsewhere, pictures within."""

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmke.pictures import open_picture, webp_address
from mmke.types import ImageRef
from mmke.web.play import PlaySettings

if TYPE_CHECKING:
    from mmke.web.play.room.desk import Answered, Desk

SIDE = 240
"""Pixels of a thumbnail's longer side."""
QUALITY = 80


def shared(settings: PlaySettings, desk: "Desk") -> str:
    """Return the page of a tab's edits, its last answers and what was asked besides."""
    pages = Environment(loader=PackageLoader("mmke.web"), autoescape=True, undefined=StrictUndefined)
    images = [edit.query.image for edit in desk.edits]
    images += [each.query.image for each in (*desk.answers, *desk.panel)]
    return pages.get_template("shared.html").render(
        backbone=settings.backbone,
        device=settings.device,
        version=version("mmke"),
        day=datetime.now(UTC).strftime("%Y-%m-%d"),
        style=(files("mmke.web") / "files" / "page.css").read_text(encoding="utf-8"),
        edits=desk.edits,
        answers=[each for each in reversed(desk.answers) if each.after],
        panel=desk.panel,
        names=_names((*desk.answers, *desk.panel)),
        pictures={image.key: _thumbnail(image) for image in images if image is not None},
    )


def _names(answers: "Iterable[Answered]") -> list[str]:
    return list(dict.fromkeys(name for each in answers for name in each.after))


def _thumbnail(image: ImageRef) -> str:
    return webp_address(open_picture(image.path, upright=image.upright), side=SIDE, quality=QUALITY)
