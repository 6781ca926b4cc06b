"""Bands of records and of unrelated pictures, for projects with more records than pictures.

Records that share a picture stand in the same split. If any record could share with any other, a large project would be
one group, which cannot be divided. Therefore a record shares with those of its band alone, as far as one fits it there.
"""

from collections.abc import Iterable

from mmke.build.content import Draft
from mmke.build.log import digest_of

BANDS = 12
"""Enough for splits in tenths, and few enough for a dozen pictures in each of the pool that comes with mmke."""


def band_of(name: str) -> int:
    """Return the band of a picture, or of records by the name that they have in common."""
    return int(digest_of("band", name), 16) % BANDS


def bands_of(drafts: Iterable[Draft]) -> dict[str, int]:
    """Return the band of each record by its id; records that have a thing in common are in one band."""
    before: dict[str, str] = {}

    def first(thing: str) -> str:
        while before.setdefault(thing, thing) != thing:
            thing = before[thing]
        return thing

    drafts = list(drafts)
    for draft in drafts:
        one, other = sorted((first(draft.subject.id), first(draft.pictured.id)))
        before[other] = one
    return {draft.id: band_of(first(draft.subject.id)) for draft in drafts}
