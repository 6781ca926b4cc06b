"""Which records belong together because they share a picture of what is edited."""

from collections.abc import Sequence

from mmke.types import EditCase


def picture_groups(cases: Sequence[EditCase]) -> list[int]:
    """Return a group number for each record: records that share a picture of what is edited are in one group."""
    first: dict[str, int] = {}
    leader = list(range(len(cases)))

    def lead(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    for number, case in enumerate(cases):
        for picture in _pictures(case):
            one, other = sorted((lead(first.setdefault(picture, number)), lead(number)))
            leader[other] = one
    return [lead(number) for number in range(len(cases))]


def _pictures(case: EditCase) -> set[str]:
    """Return the digests of the pictures of what is edited; a picture of an unrelated question is not one."""
    asked = [edit.query.image for edit in case.edits]
    asked += [probe.query.image for probe in case.probes if probe.kind.role in ("recall", "relation")]
    return {image.sha256 for image in asked if image is not None}
