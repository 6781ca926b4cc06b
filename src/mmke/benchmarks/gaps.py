"""What is not asked of some records, in words, for whoever starts a run; and the first records of a split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice

from mmke.counting import counted
from mmke.types import EditCase, Split


def gaps(cases: Sequence[EditCase]) -> list[str]:
    """Return a line for each kind of question that some records lack, and for each that they lack one of."""
    lacking: Counter[tuple[str, str, bool]] = Counter()
    for case in cases:
        asked = {probe.kind for probe in case.probes}
        lacking.update((kind.label, reason, kind in asked) for kind, reason in case.unscored.items())
    labels: dict[tuple[int, str, bool], list[str]] = {}
    for (label, reason, partly), number in lacking.items():
        labels.setdefault((number, reason, partly), []).append(label)
    return [
        f"{', '.join(some)}: one question is left out in {counted(number, 'record')} ({reason}), the rest averaged"
        if partly
        else f"{', '.join(some)}: unscored in {counted(number, 'record')} ({reason})"
        for (number, reason, partly), some in labels.items()
    ]


def first_records(split: Split, limit: int, *, counting_dropped: bool) -> Split:
    """Return the first records of a split; `limit` 0 stands for all.

    Args:
        split: as it was loaded.
        limit: how many.
        counting_dropped: whether the limit counts the file's records, dropped ones among them, as the published loader
            does; else it counts the cases.
    """
    if not limit:
        return split
    if not counting_dropped:
        return replace(split, cases=split.cases[:limit])
    numbers = {drop.record for drop in split.dropped}
    positions = islice((n for n in count() if n not in numbers), len(split.cases))
    cases = tuple(case for case, position in zip(split.cases, positions, strict=True) if position < limit)
    return replace(split, cases=cases, dropped=tuple(drop for drop in split.dropped if drop.record < limit))
