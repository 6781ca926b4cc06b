"""A record's partner: the most similar other record, of which the edited model is asked near misses.

In: records, those among which partners are looked for, and an encoder of texts. Out: for each record its partner, or
why it has none. A partner

* has the same tags `knowledge` and `type_self` (records without such a tag count as one type),
* shares no picture of what is edited with the record, neither directly nor by way of other records,
* is not spoken of in the record's new description, nor the record in its: none of its `subject_names` stands there;

among these it is the one whose old description is most similar by cosine (the new one, where there is no old one); of
equal ones the first by id. The order of the records does not matter.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmke.benchmarks.groups import picture_groups
from mmke.benchmarks.probes.names import holds, picture_edit, plain, subject_names
from mmke.types import EditCase

Embed = Callable[[Sequence[str]], Float[np.ndarray, "n hidden"]]
"""Returns a vector of length one for each text."""

DECIMALS = 6
"""To which cosines are rounded, so that the last bits of an encoder decide nothing."""


NO_OTHER = "no partner: there is no other record of its type with pictures of its own"
ALL_NAMED = "no partner: it names all others of its type, or they name it"


class Partner(NamedTuple):
    """A record's partner; None where it has none, for this reason."""

    case: EditCase | None
    reason: str = ""


class _Looked(NamedTuple):
    """What the choice looks at in a record."""

    case: EditCase
    type: tuple[str | None, ...]
    group: int
    names: tuple[str, ...]
    target: str
    description: str


def find_partners(cases: Sequence[EditCase], among: Sequence[EditCase], embed: Embed) -> dict[str, Partner]:
    """Return each record's partner by the record's id.

    Args:
        cases: the records.
        among: those that can be partners; they may be the same.
        embed: of a sentence encoder.
    """
    looked = dict(zip(map(id, [*cases, *among]), _look([*cases, *among]), strict=True))
    of_type: dict[tuple[str | None, ...], list[_Looked]] = defaultdict(list)
    for other in sorted((looked[id(case)] for case in among), key=lambda each: each.case.id):
        of_type[other.type].append(other)
    texts = sorted({each.description for each in looked.values()})
    vectors = dict(zip(texts, embed(texts).astype(np.float64), strict=True)) if texts else {}
    return {case.id: _partner(looked[id(case)], of_type, vectors) for case in cases}


def partner_ids(cases: Sequence[EditCase]) -> dict[str, str]:
    """Return the id of each record's partner by the record's id, as the tags of its probes say it."""
    return {case.id: probe.tags["partner"] for case in cases for probe in case.probes if "partner" in probe.tags}


def _look(cases: Sequence[EditCase]) -> Iterator[_Looked]:
    for case, group in zip(cases, picture_groups(cases), strict=True):
        tags: Mapping[str, str] = case.probes[0].tags if case.probes else {}
        edit = picture_edit(case)
        yield _Looked(
            case=case,
            type=(tags.get("knowledge"), tags.get("type_self")),
            group=group,
            names=subject_names(case),
            target=plain(" ".join(each.target for each in case.edits)),
            description=(edit.original or "").strip() or edit.target.strip(),
        )


def _partner(
    own: _Looked, of_type: Mapping[tuple[str | None, ...], Sequence[_Looked]], vectors: Mapping[str, np.ndarray]
) -> Partner:
    alike = [other for other in of_type.get(own.type, ()) if other.group != own.group]
    apart = [other for other in alike if not _speaks_of(own, other) and not _speaks_of(other, own)]
    if not apart:
        return Partner(None, ALL_NAMED if alike else NO_OTHER)
    cosines = np.stack([vectors[other.description] for other in apart]) @ vectors[own.description]
    # The first of equal ones; they are in the order of their ids.
    return Partner(apart[int(cosines.round(DECIMALS).argmax())].case)


def _speaks_of(one: _Looked, other: _Looked) -> bool:
    """Whether the new description of one record names what the other is about."""
    return any(holds(one.target, name) for name in other.names)
