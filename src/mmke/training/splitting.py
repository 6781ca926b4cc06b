"""Divide the training records of a benchmark into those to train on and those for validation.

In: records and a seed. Out: two lists; the same seed divides them in the same way.
"""

import hashlib
from collections.abc import Sequence

from mmke.benchmarks.groups import picture_groups
from mmke.editing.objective import missing_probes
from mmke.errors import UserError
from mmke.types import EditCase

HELD_OUT = 10
"""One record in this many is held out for validation."""


def trainable(cases: Sequence[EditCase], benchmark: str) -> tuple[list[EditCase], list[EditCase]]:
    """Return the records that can be trained on, and those that lack a probe that training needs.

    Raises:
        UserError: none can be trained on.
    """
    fit = [case for case in cases if case.edits and not missing_probes(case)]
    if not fit:
        raise UserError(
            f"{benchmark} has {len(cases)} training records, and none with an answer, a paraphrase, another "
            "picture and both unrelated questions; there is nothing to train on (those of your own file "
            "NAME_eval.json are read from NAME_train.json beside it)"
        )
    return fit, [case for case in cases if case not in fit]


def hold_out(cases: Sequence[EditCase], *, seed: int) -> tuple[list[EditCase], list[EditCase]]:
    """Return the records to train on and those for validation; records that share a picture stay on the same side.

    Raises:
        UserError: too few to divide.
    """
    groups = picture_groups(cases)
    numbers = sorted(set(groups), key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).hexdigest())
    wanted, held = max(1, len(cases) // HELD_OUT), set[int]()
    for number in numbers:
        if sum(group in held for group in groups) >= wanted:
            break
        if groups.count(number) < len(cases) - sum(group in held for group in groups):
            held.add(number)
    if not held:
        raise UserError(
            f"{len(cases)} training record{'s' * (len(cases) > 1)} cannot be divided into some to train on and some to "
            "validate with, since those that share a picture stay together; give more of them"
        )
    kept = [case for case, group in zip(cases, groups, strict=True) if group not in held]
    return kept, [case for case, group in zip(cases, groups, strict=True) if group in held]
