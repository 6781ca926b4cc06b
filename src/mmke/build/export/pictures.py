"""The pictures of an export: which files are taken along, and what the manifest says of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmke.build.content import Picture
from mmke.build.export.published import picture_path
from mmke.build.record import Record

ATTRIBUTION = ("BY", "MIT", "BSD", "APACHE", "GFDL")
SHARE_ALIKE = ("SA", "GFDL")


def told_pictures(records: Sequence[Record], pictures: Mapping[str, Picture]) -> dict[str, dict[str, Any]]:
    """Return what the manifest says of each picture, by its path below `data_image`, in the order of the paths.

    A picture that the tool made of two has no origin of its own: `made_of` tells those of its halves.
    """
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        for path, told in _shown(record, pictures).items():
            found.setdefault(path, {**told, "records": []})["records"].append(record.id)
    return dict(sorted(found.items()))


def shares(record: Record, pictures: Mapping[str, Picture]) -> frozenset[str]:
    """Return what a record may not share with one of the other split: files, things, and the user."""
    draft, both = record.edit.draft, record.asked.one_hop
    shown = list(record.pictures.values())
    if both is not None:
        shown += [pictures[half] for half in (both.left, both.right) if half in pictures]
    things = {draft.subject.id, draft.pictured.id, *(picture.thing for picture in shown)}
    user = () if draft.user is None else (f"user {draft.user}",)
    return frozenset((*(f"file {each.sha256}" for each in shown), *(f"thing {each}" for each in things), *user))


def origins(told: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the pictures by others that are in an export, halves of pictures side by side included, each once."""
    parts = [part for entry in told.values() for part in entry.get("made_of", [entry])]
    return list({part["sha256"]: part for part in parts}.values())


def asks_attribution(licence: str) -> bool:
    """Tell whether a licence asks to name the author, or to keep its notice."""
    return any(part in licence.upper().split("-") for part in ATTRIBUTION)


def asks_share_alike(licence: str) -> bool:
    """Tell whether works made of a picture must be passed on under the same licence."""
    return any(part in licence.upper().split("-") for part in SHARE_ALIKE)


def _shown(record: Record, pictures: Mapping[str, Picture]) -> dict[str, dict[str, Any]]:
    kind, both = record.edit.draft.kind, record.asked.one_hop
    shown = {picture_path(kind, picture.id): _told(picture) for picture in record.pictures.values()}
    if both is not None:
        halves = [_told(pictures[half]) for half in (both.left, both.right)]
        shown[picture_path(kind, both.id)] = {"sha256": both.sha256, "made_of": halves}
    return shown


def _told(picture: Picture) -> dict[str, Any]:
    names = ("thing", "origin", "author", "licence", "licence_url", "sha256", "width", "height")
    return {"picture": picture.id, **{name: getattr(picture, name) for name in names}}
