"""How wide an edit reaches: the share of edits of the right, too narrow and too wide scope, and what a gate decided.

In: folders of runs that asked the published probes and those of hard locality (`--probes all`). Out: a `Scope` of each.

Counted are cases whose edit took: I-Rel gained at least 50 points on the floor. *In* is the mean of I-Gen, T-Rel and
`image_rephrase`, *out* is the mean of those of RI, NI and CI that the case has. The scope is right where in ≥ 50 and
out reaches a limit, too narrow where only out does, too wide where only in does, and at fault both ways where neither
does. Both limits are this project's own.

An editor that decides for each question whether it is about an edit says so in the notes of its answers (`accepted`,
and `chosen`: the edit it took is the case's own). Of each kind of probe: the share that was accepted, of the accepted
ones the share with the right edit, and the share of wrong decisions: false rejections of questions that the edit
answers, false acceptances of others. In a stream each case counts once, as it was last asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from mmke.errors import UserError
from mmke.report.aggregates import GROUPS, with_aggregates
from mmke.report.cells import FLOOR
from mmke.results.described import kinds_of
from mmke.results.finished import FinishedRecord, read_finished
from mmke.results.run_json import RUN, read_run
from mmke.types import ProbeKind, ScoreRow

GAINED = INSIDE = 0.5
"""From which gain of I-Rel an edit took, and from which *in* it reaches far enough."""
LIMITS = (0.9, 0.8)
"""Of *out*."""
DIGITS = 9
RELIABILITY, IN_SCOPE = "i_rel", ("i_gen", "t_rel", "image_rephrase")
ACCEPTED, CHOSEN = "accepted", "chosen"


@dataclass(frozen=True, slots=True)
class Shares:
    """Per cent of the counted cases at one limit of *out*."""

    limit: float
    right: float
    narrow: float
    wide: float
    both: float


@dataclass(frozen=True, slots=True)
class Gate:
    """What was decided on the probes of one kind, in per cent; None where it means nothing.

    Attributes:
        in_scope: whether the edit answers such probes.
        accepted: of all probes.
        right_edit: of the accepted ones that are in scope.
        false_rejections: of all probes in scope.
        false_acceptances: of all probes out of scope.
        n: probes.
    """

    in_scope: bool
    accepted: float
    right_edit: float | None
    false_rejections: float | None
    false_acceptances: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of one run.

    Attributes:
        backbone: like the next seven, as the run recorded it.
        benchmark: see `backbone`.
        hop: see `backbone`.
        protocol: see `backbone`.
        schedule: see `backbone`.
        editor: see `backbone`.
        seed: see `backbone`.
        order_seed: see `backbone`; None where there is no order.
        n: counted cases.
        cases: all cases.
        shares: one for each limit; empty where no case is counted.
        gates: by kind, in the order of the run; empty where the editor decides nothing.
    """

    backbone: str
    benchmark: str
    hop: int
    protocol: str
    schedule: str
    editor: str
    seed: int
    order_seed: int | None
    n: int
    cases: int
    shares: tuple[Shares, ...]
    gates: Mapping[str, Gate]

    def as_dict(self) -> dict[str, Any]:
        """Return the scope as plain data."""
        return asdict(self)

    @property
    def block(self) -> tuple[str, str, int, str, str]:
        """What one table is of."""
        return (self.backbone, self.benchmark, self.hop, self.protocol, self.schedule)


def read_scopes(out: Path) -> list[Scope]:
    """Read every editor's runs below a folder that asked probes of hard locality, in table order.

    Raises:
        UserError: there is none, or a file is broken.
    """
    found = [scope for file in sorted(out.rglob(RUN)) if (scope := _scope(file.parent)) is not None]
    if not found:
        raise UserError(f"no results of hard locality below {out}; make them: mmke run --probes all --out {out}")
    return sorted(found, key=lambda scope: (*scope.block, scope.editor, scope.seed, scope.order_seed or 0))


def _scope(folder: Path) -> Scope | None:
    run = read_run(folder)
    if run is None or run["editor"] == FLOOR:
        return None
    kinds = kinds_of(run)
    if not any(kind.role == "hard locality" for kind in kinds.values()):
        return None
    records = _last(with_aggregates(read_finished(folder), kinds))
    reaches = [reach for record in records if (reach := _reach(record.rows)) is not None]
    return Scope(
        **{name: run[name] for name in ("backbone", "benchmark", "hop", "protocol", "schedule", "editor", "seed")},
        order_seed=records[0].key.order_seed if records else None,
        n=len(reaches),
        cases=len(records),
        shares=tuple(_shares(reaches, limit) for limit in LIMITS) if reaches else (),
        gates=_gates(records, kinds),
    )


def _last(records: Iterable[FinishedRecord]) -> list[FinishedRecord]:
    """Return the last record of each case: with the most edits in the model."""
    last: dict[str, FinishedRecord] = {}
    for record in records:
        if record.case_id not in last or record.key.edits_applied >= last[record.case_id].key.edits_applied:
            last[record.case_id] = record
    return list(last.values())


def _reach(rows: Sequence[ScoreRow]) -> tuple[float, float] | None:
    """Return the *in* and *out* of a case whose edit took; None for another, or where one of them has no score."""
    values: dict[str, list[ScoreRow]] = defaultdict(list)
    for row in rows:
        if row.value is not None and row.metric == row.kind:
            values[row.kind].append(row)
    gains = [row.value - row.floor for row in values[RELIABILITY] if row.value is not None and row.floor is not None]
    means = {kind: fmean(row.value for row in some if row.value is not None) for kind, some in values.items() if some}
    inside = [means[kind] for kind in IN_SCOPE if kind in means]
    outside = [means[group] for group in GROUPS if group in means]
    if not gains or round(fmean(gains), DIGITS) < GAINED or not inside or not outside:
        return None
    # A mean of shares may miss its value by the last bit.
    return round(fmean(inside), DIGITS), round(fmean(outside), DIGITS)


def _shares(reaches: Sequence[tuple[float, float]], limit: float) -> Shares:
    def share(*, far: bool, tight: bool) -> float:
        among = [reach for reach in reaches if (reach[0] >= INSIDE, reach[1] >= limit) == (far, tight)]
        return 100 * len(among) / len(reaches)

    return Shares(
        limit,
        right=share(far=True, tight=True),
        narrow=share(far=False, tight=True),
        wide=share(far=True, tight=False),
        both=share(far=False, tight=False),
    )


def _gates(records: Iterable[FinishedRecord], kinds: Mapping[str, ProbeKind]) -> dict[str, Gate]:
    decisions: dict[str, list[Mapping[str, int]]] = defaultdict(list)
    for record in records:
        for row in _one_of_each_probe(record.rows):
            decisions[row.kind].append(row.notes)
    return {name: _gate(kind, decisions[name]) for name, kind in kinds.items() if name in decisions}


def _one_of_each_probe(rows: Iterable[ScoreRow]) -> Iterator[ScoreRow]:
    seen = set()
    for row in rows:
        if row.probe is not None and row.probe not in seen and ACCEPTED in row.notes:
            seen.add(row.probe)
            yield row


def _gate(kind: ProbeKind, decisions: Sequence[Mapping[str, int]]) -> Gate:
    in_scope = "locality" not in kind.role
    accepted = 100 * fmean(each[ACCEPTED] for each in decisions)
    right = [each[CHOSEN] for each in decisions if each[ACCEPTED] and CHOSEN in each]
    return Gate(
        in_scope=in_scope,
        accepted=accepted,
        right_edit=100 * fmean(right) if right and in_scope else None,
        false_rejections=100 - accepted if in_scope else None,
        false_acceptances=None if in_scope else accepted,
        n=len(decisions),
    )
