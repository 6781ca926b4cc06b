"""Whether the values of a thing fit together: years in their order, numbers within their range."""

import re
from collections.abc import Collection, Iterator, Mapping

from mmke.build.words import Words

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BETWEEN_THOUSANDS = re.compile(r"(?<=\d)[, ](?=\d{3}\b)")
_YEAR = re.compile(r"\b\d{3,4}\b")
_BEFORE_CHRIST = re.compile(r"\bB\.?C\.?(?:E\.?)?\b")


def number(value: str) -> float | None:
    """Return the first number in a value ("1,200 km" is 1200); None where it has none."""
    found = _NUMBER.search(_BETWEEN_THOUSANDS.sub("", value))
    return None if found is None else float(found[0])


def year(value: str) -> int | None:
    """Return the year in a value ("4 May 1901", "300 BC" is -300); None where it has none."""
    found = _YEAR.search(value)
    if found is None:
        return None
    return -int(found[0]) if _BEFORE_CHRIST.search(value) else int(found[0])


def inconsistencies(values: Mapping[str, str], words: Words, *, changed: Collection[str]) -> Iterator[str]:
    """Yield where values by their relation break what `Relation.before` and `Relation.range` ask of them.

    Only what a changed relation has a part in is looked at: a source can state a thing that does not fit together.
    """
    for relation, value in values.items():
        limits, later = words.relation(relation).range, words.relation(relation).before
        if limits is not None and relation in changed and not _in_range(limits, value):
            yield f"{relation} {value!r} is not from {limits[0]:g} to {limits[1]:g}"
        if (
            later is not None
            and later in values
            and {relation, later} & set(changed)
            and not _in_order(value, values[later])
        ):
            yield f"{relation} {value!r} is not before {later} {values[later]!r}"


def _in_range(limits: tuple[float, float], value: str) -> bool:
    counted = number(value)
    return counted is not None and limits[0] <= counted <= limits[1]


def _in_order(earlier: str, later: str) -> bool:
    first, second = year(earlier), year(later)
    return first is None or second is None or first < second
