"""Which cases of a benchmark are a stream, in which order, and which of them are scored.

In: `StreamSettings`, the evaluation and training records. Out: a `Stream`. Mistakes are told here, before any weights
are read: too few records, a group that a record lacks, a checkpoint that no step reaches.
"""

import random
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from mmke.errors import UserError
from mmke.running.stream import Stream, batches
from mmke.running.stream_settings import DEFAULT_TESTS, StreamSettings, fitted
from mmke.types import EditCase

EARLY = 10
"""The first cases of a stream are in every panel, so that early checkpoints have something to score."""
PARTNER = "partner"
"""Tag of a near miss: the case that it takes its question or picture from."""


def arrange(
    settings: StreamSettings,
    cases: Sequence[EditCase],
    train: Sequence[EditCase],
    *,
    order_seed: int,
    benchmark: str,
    fills_up: bool,
) -> Stream:
    """Return the stream of a benchmark's cases.

    Args:
        settings: checked.
        cases: the evaluation records, in file order.
        train: the training records, from which distractors are taken where the others do not suffice; with
            `distract_from` what was read from there, from which alone they are taken.
        order_seed: of the order.
        benchmark: its name, for messages.
        fills_up: with too few cases for the gaps, score fewer, as published; else it is an error.

    Raises:
        UserError: too few cases, a group that a case lacks, or a checkpoint that no step reaches.
    """
    order = _ordered(settings, cases, order_seed)
    held = _held_out(order) if settings.hold_out == "partners" else set()
    order = [case for case in order if case.id not in held]
    if settings.or_all:
        settings = fitted(settings, len(order))
    tests, gap = _tests(settings, len(order), benchmark, fills_up=fills_up, held=len(held))
    settings = _checked(settings, tests)
    chosen, rest = order[:tests], order[tests:]
    sessions = _sessions(settings, chosen, whole=not fills_up)
    _check_groups_reach(settings, max(map(len, sessions)))
    distractors = _distractors(settings, rest[gap:], train, benchmark)
    used = [case for session in sessions for case in session]
    scored = _first_of_groups(settings, used) if settings.first_of_group else frozenset(case.id for case in used)
    return Stream(
        settings,
        order_seed,
        tuple(map(tuple, sessions)),
        tuple(rest[:gap]),
        tuple(distractors),
        scored,
        _panel(settings, used, order_seed),
        tuple(_notes(settings, used, held, benchmark)),
    )


def _ordered(settings: StreamSettings, cases: Sequence[EditCase], seed: int) -> list[EditCase]:
    if settings.order == "file":
        return list(cases)
    # Sorted first, so that the order of the file does not matter.
    order = sorted(cases, key=lambda case: case.id)
    random.Random(f"order {seed}").shuffle(order)  # noqa: S311 - a draw, not a secret
    if settings.group is None:
        return order
    named = {case.id: group_of(case, settings.group) for case in cases}
    groups: dict[str, list[EditCase]] = {}
    for case in order:
        groups.setdefault(named[case.id], []).append(case)
    return [case for group in groups.values() for case in group[: settings.items or None]]


def group_of(case: EditCase, tag: str) -> str:
    """Return a case's group: the value of a tag, or for "user" the name in "My name is NAME,".

    Raises:
        UserError: the case has none.
    """
    if tag == "user":
        found = re.search(r"My name is ([^,]+),", case.edits[0].query.text)
        if found:
            return found[1].strip()
        raise UserError(
            f"--order grouped:user: the prompt of record {case.id} has no 'My name is NAME,': "
            f"{case.edits[0].query.text[:60]!r}; name a benchmark that has it, such as mmke-user, or another --order"
        )
    values = [probe.tags[tag] for probe in case.probes if tag in probe.tags]
    if values:
        return values[0]
    known = sorted({name for probe in case.probes for name in probe.tags})
    raise UserError(f"--order grouped:{tag}: record {case.id} has no tag {tag!r}; it has {', '.join(known) or 'none'}")


def _held_out(order: Sequence[EditCase]) -> set[str]:
    """Return the cases that stay out of the stream, since a near miss of a case in it takes something from them."""
    ids, held, within = {case.id for case in order}, set[str](), set[str]()
    for case in order:
        partners = {probe.tags[PARTNER] for probe in case.probes if PARTNER in probe.tags} & ids
        if case.id in held or partners & within:
            held.add(case.id)
        else:
            within.add(case.id)
            held |= partners
    return held


class _Fit(NamedTuple):
    """How many cases are scored, and how many further ones make gaps."""

    tests: int
    extra: int


def _tests(settings: StreamSettings, available: int, benchmark: str, *, fills_up: bool, held: int) -> _Fit:
    gap = max(settings.moments.gaps, default=0)
    most = available - gap
    if most < 1:
        raise UserError(
            f"--score gap:{gap}: {benchmark} has {_count(available, held)}, and a gap of {gap} leaves none to score; "
            f"take a gap below {available}"
        )
    if settings.tests is None:
        return _Fit(min(DEFAULT_TESTS, most), gap)
    wanted = settings.tests or available
    if wanted <= most or (not settings.tests and not gap):
        return _Fit(wanted, gap)
    if fills_up:
        return _Fit(most, gap)
    asked = f"--tests {settings.tests}" if settings.tests else "all of them"
    asked = f"{asked} and a gap of {gap} take {wanted + gap}" if gap else f"fewer than {asked}"
    raise UserError(
        f"{benchmark} has {_count(available, held)}{':' if gap else ','} {asked}; take --tests {most}"
        + (f", or a smaller gap than {gap}" if gap else "")
    )


def _count(available: int, held: int) -> str:
    return f"{available} records" + (f" ({held} more are held out as partners: --partners train)" if held else "")


def _checked(settings: StreamSettings, tests: int) -> StreamSettings:
    """Refuse checkpoints that no step reaches."""
    length = settings.reset or tests
    for state in settings.moments.at:
        if state > tests:
            raise UserError(f"--score at:{state}: the stream ends after {tests} cases; leave it out, or say end")
        if state % settings.batch and state != length:
            raise UserError(
                f"--score at:{state}: with --batch {settings.batch} no step ends there; take a multiple of "
                f"{settings.batch}"
            )
    return settings


def _check_groups_reach(settings: StreamSettings, longest: int) -> None:
    """Refuse checkpoints that no session of groups reaches."""
    beyond = next((state for state in settings.moments.at if settings.groups and state > longest), None)
    if beyond is not None:
        raise UserError(
            f"--score at:{beyond}: with --groups {settings.groups} the longest session ends after {longest} cases; "
            "leave it out, or say end"
        )


def _sessions(settings: StreamSettings, cases: Sequence[EditCase], *, whole: bool) -> list[list[EditCase]]:
    """Return the cases of each session; a last one that is short is kept, or dropped as published."""
    if settings.groups:
        by_group = [list(some) for _, some in groupby(cases, key=lambda case: group_of(case, settings.group or ""))]
        sessions = [[case for group in some for case in group] for some in batches(by_group, settings.groups)]
        full = len(by_group) % settings.groups == 0
    elif settings.reset:
        sessions = [list(some) for some in batches(cases, settings.reset)]
        full = len(cases) % settings.reset == 0
    else:
        return [list(cases)]
    return sessions if full or whole or len(sessions) == 1 else sessions[:-1]


def _distractors(
    settings: StreamSettings, rest: Sequence[EditCase], train: Sequence[EditCase], benchmark: str
) -> list[EditCase]:
    """Return cases that are never scored: evaluation records behind the stream, then training records."""
    if settings.distract_from is not None:
        return list(train)
    found = [*rest, *train][: settings.distract]
    if len(found) < settings.distract:
        raise UserError(
            f"--distract {settings.distract}: {benchmark} has {len(rest)} evaluation records behind the stream and "
            f"{len(train)} training records; take --distract {len(found)}"
        )
    return found


def _first_of_groups(settings: StreamSettings, cases: Sequence[EditCase]) -> frozenset[str]:
    groups = groupby(cases, key=lambda case: group_of(case, settings.group or ""))
    return frozenset(next(some).id for _, some in groups)


def _panel(settings: StreamSettings, cases: Sequence[EditCase], seed: int) -> frozenset[str]:
    """Return which cases are scored at checkpoints: the same sample at each, of those that are in the model by then.

    A sample of the whole stream, so that late edits are in it as well as early ones.
    """
    ids = [case.id for case in cases]
    if not settings.panel or settings.panel >= len(ids):
        return frozenset(ids)
    drawn = random.Random(f"panel {seed}").sample(sorted(ids), settings.panel)  # noqa: S311 - a draw, not a secret
    return frozenset([*drawn, *ids[:EARLY]])


def _notes(settings: StreamSettings, cases: Sequence[EditCase], held: set[str], benchmark: str) -> Iterator[str]:
    wanted = settings.tests
    if wanted and len(cases) < wanted:
        yield f"{len(cases)} of {wanted} records are scored: {benchmark} has too few behind them, as published"
    if held:
        yield f"{len(held)} records are held out, since near misses take questions and pictures from them"
