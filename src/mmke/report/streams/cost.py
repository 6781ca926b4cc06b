"""What a stream costs, by decade of the number of edits: the first ten, the next ninety, and so on.

Medians, since the first step of a program and a busy machine would move a mean. Bytes and seconds per edit that was
added before are slopes by least squares.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median
from typing import Any

from mmke.report.streams.curves import Bin
from mmke.results.finished import FinishedRecord
from mmke.results.steps import StepRecord
from mmke.results.timings import MemoryKind

GROWS = 1.01
"""A session's state grows with the edits if its last size is more than this many times its first."""

Point = tuple[int, float]
"""A state, and what was measured in it."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity over the states of a stream.

    Attributes:
        decades: its figure in each decade of states.
        slope: how much each edit adds, by least squares; None with fewer than two states.
        intercept: where that line is at no edit.
    """

    decades: Mapping[Bin, float] = field(default_factory=dict)
    slope: float | None = None
    intercept: float | None = None

    @property
    def ratio(self) -> float | None:
        """The last decade's figure over the first one's; None with one decade, or where the first is 0."""
        first, *rest = self.decades.values() or (0.0,)
        return rest[-1] / first if rest and first else None

    def as_dict(self) -> dict[str, Any]:
        """Return the quantity as plain data."""
        decades = [{"from": each.low, "to": each.high, "value": value} for each, value in self.decades.items()]
        return {"decades": decades, "ratio": self.ratio, "per_edit": self.slope, "at_no_edit": self.intercept}


@dataclass(frozen=True, slots=True)
class Cost:
    """What the steps and records of a stream cost.

    Attributes:
        apply: seconds of one step.
        record: seconds of the answers of one scored case.
        state: bytes that a saved session needs beyond the model.
        memory: the highest peak of memory in each decade, in bytes.
        kind: what the peaks are peaks of.
    """

    apply: Quantity
    record: Quantity
    state: Quantity
    memory: Quantity
    kind: MemoryKind | None = None

    @property
    def grows(self) -> bool:
        """Whether what has to be kept grows with the number of edits."""
        sizes = list(self.state.decades.values())
        slope, intercept = self.state.slope, self.state.intercept
        if slope is None or intercept is None or not sizes:
            return False
        return slope > 0 and sizes[-1] > GROWS * (intercept + slope)

    def as_dict(self) -> dict[str, Any]:
        """Return the cost as plain data, in seconds and bytes."""
        return {
            "seconds_per_apply": self.apply.as_dict(),
            "seconds_per_scored_record": self.record.as_dict(),
            "state_bytes": self.state.as_dict(),
            "peak_memory_bytes": self.memory.as_dict(),
            "memory": self.kind,
            "state_grows": self.grows,
        }


def cost_of(steps: Sequence[StepRecord], records: Iterable[FinishedRecord]) -> Cost:
    """Return the cost of the steps and records of one stream, or of several orders of it together."""
    timed = [(record.key.edits_applied, record.timing) for record in records if record.timing is not None]
    scored = [step for step in steps if not step.distractors]
    peaks = [(step.edits_applied, step.peak_memory_bytes) for step in steps]
    peaks += [(state, timing.peak_memory_bytes) for state, timing in timed if state]
    memories = [*(step.memory for step in steps), *(timing.memory for _, timing in timed)]
    return Cost(
        apply=_quantity([(step.edits_applied, step.seconds) for step in scored]),
        record=_quantity([(state, timing.seconds["after"]) for state, timing in timed]),
        state=_quantity(
            [(step.edits_applied, float(step.state_bytes)) for step in steps if step.state_bytes is not None]
        ),
        memory=_quantity([(state, float(peak)) for state, peak in peaks if peak is not None], figure=max),
        kind=memories[0] if memories else None,
    )


def decade(state: int) -> Bin:
    """Return the decade of a state from 1 up: 1–10, 11–100, 101–1000 and so on."""
    high = 10
    while state > high:
        high *= 10
    return Bin(high // 10 + 1 if high > 10 else 1, high)


def _quantity(points: Sequence[Point], figure: Callable[[Iterable[float]], float] = median) -> Quantity:
    found: dict[Bin, list[float]] = defaultdict(list)
    for state, value in points:
        if state:
            found[decade(state)].append(value)
    decades = {each: float(figure(found[each])) for each in sorted(found)}
    if len({state for state, _ in points}) < 2:
        return Quantity(decades)
    line = linear_regression([state for state, _ in points], [value for _, value in points])
    return Quantity(decades, line.slope, line.intercept)
