"""What changed in the data of a run that is to be continued: the finished cases are held against those of today."""

from collections.abc import Iterator, Mapping, Sequence

from mmke.results.cases import KeptCase
from mmke.types import EditCase, ImageRef

SHOWN = 3


def changed_data(kept: Mapping[str, KeptCase], cases: Sequence[EditCase]) -> str:
    """Say which records of a folder are others today, and whether by a picture or by a text.

    Args:
        kept: the cases of the folder.
        cases: those of today.
    """
    today = {case.id: case for case in cases}
    changes = [
        f"record {id_}: {_change(old.case, today[id_])}"
        for id_, old in kept.items()
        if id_ in today and today[id_] != old.case
    ]
    if not changes:
        return "none of the records that are finished and asked for; others of the annotation file, or their pictures"
    more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return "; ".join(changes[:SHOWN]) + more


def _change(old: EditCase, new: EditCase) -> str:
    before = {image.path: image.sha256 for image in _pictures(old)}
    pictures = dict.fromkeys(
        str(image.path) for image in _pictures(new) if before.get(image.path, image.sha256) != image.sha256
    )
    return f"the picture {', '.join(pictures)}" if pictures else "its texts, or which pictures it has"


def _pictures(case: EditCase) -> Iterator[ImageRef]:
    for query in (*(edit.query for edit in case.edits), *(probe.query for probe in case.probes)):
        if query.image is not None:
            yield query.image
