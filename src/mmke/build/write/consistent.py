"""Whether the values of a thing fit together: years in their order, numbers within their range."""

import re
from collections.abc import Collection, Mapping

from mmke.build.words import Words

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_YEAR = re.compile(r"\b\d{3,4}\b")
_BEFORE_CHRIST = re.compile(r"\bB\.?C\b")


def number(value: str) -> float | None:
    """Return the first number that stands in a value; None where there is none."""
    found = _NUMBER.search(value)
    return None if found is None else float(found[0].replace(",", ""))


def year(value: str) -> int | None:
    """Return the year that stands in a value, one before Christ as a negative number; None where there is none."""
    found = _YEAR.search(value)
    if found is None:
        return None
    return -int(found[0]) if _BEFORE_CHRIST.search(value) else int(found[0])


def consistent(values: Mapping[str, str], words: Words, *, changed: Collection[str]) -> bool:
    """Tell whether values by their relation keep what `Relation.before` and `Relation.range` ask of them.

    Only what a changed relation has a part in is looked at: a source can state a thing that does not fit together.
    """
    for relation, value in values.items():
        grammar = words.relation(relation)
        if relation in changed and not _in_range(grammar.range, value):
            return False
        if {relation, grammar.before} & set(changed) and not _in_order(value, values.get(grammar.before or "")):
            return False
    return True


def _in_range(limits: tuple[float, float] | None, value: str) -> bool:
    counted = number(value)
    return limits is None or (counted is not None and limits[0] <= counted <= limits[1])


def _in_order(value: str, later: str | None) -> bool:
    first, second = year(value), None if later is None else year(later)
    return first is None or second is None or first < second
