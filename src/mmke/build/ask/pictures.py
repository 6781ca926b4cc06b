"""The pictures that this stage adds to a project: unrelated ones, copied, and two side by side, made."""

import hashlib
from collections.abc import Collection

from mmke.build.ask.side_by_side import side_by_side
from mmke.build.ask.unrelated import Other
from mmke.build.collect.measure import measure
from mmke.build.content import Draft, Picture, Side, SideBySide
from mmke.build.log import digest_of
from mmke.build.project import Project
from mmke.errors import CannotWriteError, UserError
from mmke.lines import write_file

STAGE = "ask"
"""Lines of `pictures.jsonl` by this stage are this stage's to change."""

SHORT_SIDE = 224
"""Pixels that are enough for an unrelated picture, whatever the settings ask of others: those of mmke have so many."""

MADE = "beside"
"""How the names of pictures side by side begin; they have no line of their own."""


def copied(project: Project, other: Other) -> str:
    """Return the id of an unrelated picture, which is copied into the project unless it is there.

    Raises:
        CannotWriteError: it cannot be used; the message is the reason.
    """
    if isinstance(other.picture, Picture):
        return other.picture.id
    collect = project.settings.collect
    collect = collect.model_copy(update={"short_side": min(collect.short_side, SHORT_SIDE)})
    measured = measure(project, other.thing, other.picture, collect=collect)
    file = project.pictures_folder / measured.picture.id
    if measured.picture.refused is None:
        measured = measured.at_hand(file)
    picture = measured.picture
    if picture.refused is not None:
        raise CannotWriteError(f"the picture {picture.origin} cannot be used: {picture.refused}")
    project.pictures_folder.mkdir(exist_ok=True)
    measured.write(file)
    by = {"stage": STAGE, "source": project.settings.ask.pictures}
    entry = project.pictures.get(picture.id)
    if entry is None or entry.content != picture:
        project.pictures.put(picture.id, picture, sources=(picture.thing,), by=by, inputs=measured.inputs)
    return picture.id


def made(project: Project, draft: Draft, beside: str, side: Side) -> SideBySide:
    """Make a picture of the thing that a draft pictures beside another, and return what it is.

    A third picture of the thing is taken, which neither the edit nor its rephrase shows.

    Args:
        project: whose pictures are used.
        draft: of the record.
        beside: id of the other picture.
        side: where the edited thing stands.

    Raises:
        CannotWriteError: there is no third picture, or a file is lost or broken.
    """
    third = third_picture(project, draft).id
    left, right = (third, beside) if side == "left" else (beside, third)
    folder = project.pictures_folder
    try:
        content = side_by_side(folder / left, folder / right)
    except UserError as error:
        raise CannotWriteError(f"{left} or {right}: {error}") from error
    id_ = f"{MADE}-{third.rpartition('.')[0]}-{digest_of(left, right)[:10]}.png"
    digest = hashlib.sha256(content).hexdigest()
    file = folder / id_
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        write_file(file, content)
    return SideBySide(id=id_, sha256=digest, left=left, right=right)


def third_picture(project: Project, draft: Draft) -> Picture:
    """Return a picture of what a draft pictures that it does not show yet.

    Raises:
        CannotWriteError: there is none.
    """
    for entry in project.pictures:
        picture = entry.content
        if (
            picture.thing == draft.pictured.id
            and picture.refused is None
            and picture.id not in (draft.edit_picture, draft.rephrase_picture)
        ):
            return picture
    raise CannotWriteError(f"there is no third picture of {draft.pictured.name}, which stands beside something")


def take_away(project: Project, used: Collection[str]) -> None:
    """Take away the pictures of this stage that no record shows any more."""
    pictures, folder = project.pictures, project.pictures_folder
    gone = {entry.id for entry in pictures if entry.by.get("stage") == STAGE and entry.id not in used}
    for id_ in gone:
        (folder / id_).unlink(missing_ok=True)
    pictures.keep_only({entry.id for entry in pictures} - gone)
    for file in sorted(folder.glob(f"{MADE}-*.png")):
        if file.name not in used and pictures.get(file.name) is None:
            file.unlink()
