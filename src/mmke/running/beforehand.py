"""Find before a run which questions and edits a backbone cannot be asked, and which will take long.

In: records and a backbone's skeleton. Out: one line for each question, answer or picture. A run is not stopped by
them: these probes are unscored, with the same reason in their rows.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from mmke.counting import counted
from mmke.protocols import Backbone
from mmke.types import STRICT, Ask, Benchmark, EditCase, Query

SHOWN = 10
"""How many lines a warning shows."""
LONG = 1000
"""A text of this many positions or more is called long."""
COPIES = 3
"""How many tensors of the size of the logits are in memory at a time: logits, log-probabilities, gradients."""

logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """An edit or a probe: id of its record, its place there in words, its question, its answer."""

    case: str
    place: str
    query: Query
    target: str


class Refused(NamedTuple):
    """What cannot be asked, and why."""

    case: str
    place: str
    reason: str

    def __str__(self) -> str:
        """Return the line that is shown to the user."""
        return f"record {self.case}, {self.place}: {self.reason}"


def refused(backbone: Backbone, cases: Sequence[EditCase], ask: Ask, *, pictures: bool) -> list[Refused]:
    """Return which edits and probes of some records cannot be asked.

    Args:
        backbone: a skeleton is enough.
        cases: the records.
        ask: how they will be asked.
        pictures: also read every picture and process it as the model does.
    """
    found, seen = [], set()
    for part in (part for case in cases for part in _parts(case)):
        looks = pictures and part.query.image not in seen
        reason = backbone.problems(part.query, part.target, ask, pictures=looks)
        if reason is not None:
            found.append(Refused(part.case, part.place, reason))
        elif looks:
            seen.add(part.query.image)
    return found


def check(backbone: Backbone, benchmark: Benchmark, *, hop: int) -> list[Refused]:
    """Return which edits and probes of a benchmark cannot be asked; training records and pictures are checked too.

    Raises:
        UserError: the data are broken.
    """
    cases = [
        case
        for split, asked in (("train", 0), ("eval", hop))
        for case in benchmark.load(split, hop=asked, switches=STRICT).cases  # type: ignore[arg-type]
    ]
    return refused(backbone, cases, Ask(), pictures=True)


def warn(backbone: Backbone, name: str, cases: Sequence[EditCase], ask: Ask) -> None:
    """Warn of what cannot be asked and of what will take long; pictures are not read here."""
    found = refused(backbone, cases, ask, pictures=False)
    if found:
        logger.warning(
            "%s: of the questions and edits %d cannot be put to %s and will be unscored (mmke check %s --backbone %s "
            "looks at the pictures too):\n%s",
            name,
            len(found),
            backbone.name,
            name,
            backbone.name,
            first_of(found),
        )
    left_out = {(each.case, each.place) for each in found}
    parts = [part for case in cases for part in _parts(case)]
    _warn_of_long(backbone, name, [part for part in parts if (part.case, part.place) not in left_out])


def first_of(found: Sequence[Refused]) -> str:
    """Return the first lines of what cannot be asked."""
    return "\n".join(map(str, found[:SHOWN])) + ("\n…" if len(found) > SHOWN else "")


def _warn_of_long(backbone: Backbone, name: str, parts: Sequence[Part]) -> None:
    # A token has at least one letter, so most texts are short without being tokenised.
    long = [part for part in parts if len(part.query.text) + len(part.target) >= LONG]
    lengths = {part: _length(backbone, part) for part in long}
    longest = max(lengths, key=lengths.__getitem__, default=None)
    if longest is None or lengths[longest] < LONG:
        return
    usual = median(_length(backbone, part) for part in parts)
    gib = COPIES * 4 * lengths[longest] * backbone.vocabulary / 2**30
    logger.warning(
        "%s: %s of %d positions or more; the longest (record %s, %s) has %d, %.0f times the usual %.0f: "
        "expect at least so many times the usual time for it, and about %.1f GiB for its logits",
        name,
        counted(sum(length >= LONG for length in lengths.values()), "text"),
        LONG,
        longest.case,
        longest.place,
        lengths[longest],
        lengths[longest] / usual,
        usual,
        gib,
    )


def _length(backbone: Backbone, part: Part) -> int:
    return backbone.length(replace(part.query, image=None), part.target)


def _parts(case: EditCase) -> Iterator[Part]:
    for edit in case.edits:
        yield Part(case.id, "edit", edit.query, edit.target)
    for number, probe in enumerate(case.probes):
        yield Part(case.id, f"probe {number} ({probe.kind.name})", probe.query, probe.target)
