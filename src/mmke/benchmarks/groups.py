"""Which records belong together because they share something, such as a picture of what is edited."""

from collections.abc import Collection, Sequence

from mmke.types import EditCase


def picture_groups(cases: Sequence[EditCase]) -> list[int]:
    """Return a group number for each record: records that share a picture of what is edited are in one group."""
    return connected([_pictures(case) for case in cases])


def connected(shares: Sequence[Collection[str]]) -> list[int]:
    """Return a group number for each item: those that share something, directly or through others, are in one group.

    Args:
        shares: what each item has that others may have too.
    """
    first: dict[str, int] = {}
    leader = list(range(len(shares)))

    def lead(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    for number, theirs in enumerate(shares):
        for shared in theirs:
            one, other = sorted((lead(first.setdefault(shared, number)), lead(number)))
            leader[other] = one
    return [lead(number) for number in range(len(shares))]


def _pictures(case: EditCase) -> set[str]:
    """Return the digests of the pictures of what is edited; a picture of an unrelated question is not one."""
    asked = [edit.query.image for edit in case.edits]
    asked += [probe.query.image for probe in case.probes if probe.kind.role in ("recall", "relation")]
    return {image.sha256 for image in asked if image is not None}
