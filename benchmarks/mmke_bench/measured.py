"""What was measured of one editor on one benchmark, and the figures that are taken from it."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mmke.results.timings import Phase
from mmke.types import ScoreRow, StoredAnswer
from mmke_bench.ceilings import Ceilings
from mmke_bench.counting import Count
from mmke_bench.sides import Clock, Lap, SideName
from mmke_bench.steps import Sight, Step


class Loaded(NamedTuple):
    """What loading a side took: wall-clock seconds, the language model's precision, peak memory in bytes by kind."""

    seconds: float
    dtype: str
    peaks: Mapping[str, int]


class Counts(NamedTuple):
    """Operations of one record: those of the editor, and together with those of the floor.

    For a training step: those of the step, and on the plain side together with the probes that no loss reads.
    """

    alone: Count
    with_floor: Count


class Agreement(NamedTuple):
    """How the rows of two sides differ: number of rows, rows with other ids, largest gap of a log-probability."""

    rows: int
    other_ids: int
    gap: float


class Shared(NamedTuple):
    """How many long prompts a record asks, and behind how many distinct pictures."""

    asked: int
    prefixes: int


@dataclass(frozen=True)
class Measured:
    """One editor on one benchmark.

    Attributes:
        editor: name.
        benchmark: name.
        load: what loading took, by side.
        laps: the records, by side.
        counts: operations of each record; none without the plain side, or where they are not known.
        ceilings: of the GPU, if it is one.
        steps: of training, by side; none of an editor that is not trained.
        step_counts: operations of each step of the plain side, as far as they are known.
    """

    editor: str
    benchmark: str
    load: Mapping[SideName, Loaded]
    laps: Mapping[SideName, Sequence[Lap]]
    counts: Sequence[Counts] = ()
    ceilings: Ceilings | None = None
    steps: Mapping[SideName, Sequence[Step]] = field(default_factory=dict)
    step_counts: Sequence[Counts] = ()

    @property
    def both(self) -> bool:
        """Whether there are two sides to compare."""
        return len(self.laps) == 2

    def seconds(self, side: SideName, clock: Clock, *, floor: bool = False) -> float:
        """Return the median over the records."""
        return statistics.median(lap.seconds(clock, floor=floor) for lap in self.laps[side])

    def phase(self, side: SideName, name: Literal["floor", "edit", "probes"]) -> float:
        """Return a phase's median seconds on the wall; the floor's are zero where the editor is the floor."""
        if name == "floor":
            return statistics.median(0.0 if lap.floor is None else lap.floor.wall for lap in self.laps[side])
        parts: tuple[Phase, ...] = ("edit",) if name == "edit" else ("before", "after")
        return statistics.median(sum(lap.edit.phases[part] for part in parts) for lap in self.laps[side])

    def peaks(self, side: SideName) -> Mapping[str, int]:
        """Return the most bytes of any record, by kind."""
        costs = [cost for lap in self.laps[side] for cost in lap.costs]
        return {kind: max(cost.peaks[kind] for cost in costs) for kind in costs[0].peaks}

    def ratio(self, clock: Clock, *, floor: bool = False) -> float | None:
        """Return how many times as fast ours was, as the median over records; None without both sides."""
        if not self.both:
            return None
        return statistics.median(
            plain.seconds(clock, floor=floor) / ours.seconds(clock, floor=floor) for plain, ours in self._pairs()
        )

    def bound(self, *, floor: bool = False) -> float | None:
        """Return the operations of the plain loop over those that the work needs; None where they are not known."""
        counts = [each.with_floor if floor else each.alone for each in self.counts]
        return statistics.median(count.plain / count.needed for count in counts) if counts else None

    def step_seconds(self, side: SideName, clock: Clock, sight: Sight, *, asides: bool = False) -> float:
        """Return the median of a training step per record, with what is asked besides or without it."""
        seconds = [
            (step.new if sight == "new" else step.seen).seconds(clock)
            + (step.asides.seconds(clock) if asides and step.asides is not None else 0.0)
            for step in self.steps[side]
        ]
        return statistics.median(seconds)

    def step_peaks(self, side: SideName) -> Mapping[str, int]:
        """Return the most bytes of any training step, by kind."""
        costs = [cost for step in self.steps[side] for cost in (step.new, step.seen)]
        return {kind: max(cost.peaks[kind] for cost in costs) for kind in costs[0].peaks}

    def step_ratio(self, clock: Clock, sight: Sight, *, asides: bool = False) -> float | None:
        """Return how many times as fast our training steps were; None without both sides."""
        if len(self.steps) != 2:
            return None
        plain = self.step_seconds("plain", clock, "new", asides=asides)
        return plain / self.step_seconds("mmke", clock, sight)

    def step_bound(self, *, asides: bool = False) -> float | None:
        """Return the operations of the plain loop's step over those that it needs; None where they are not known."""
        counts = [each.with_floor if asides else each.alone for each in self.step_counts]
        return statistics.median(count.plain / count.needed for count in counts) if counts else None

    def least_seconds(self) -> float | None:
        """Return the least time that the needed operations take at the GPU's measured rate."""
        if self.ceilings is None or not self.counts:
            return None
        return statistics.median(each.alone.needed for each in self.counts) / self.ceilings.multiply_adds

    def shared(self) -> Shared | None:
        """Return what an editor shares that puts text before the questions: it is read once for each picture.

        None without the plain side, and for an editor whose prompts are no longer than the floor's, or that is trained.
        """
        if self.steps:
            return None
        lap = self.laps["plain"][0] if "plain" in self.laps else None
        longest = max((len(each.encoded.input_ids) for each in lap.floor_log), default=0) if lap is not None else 0
        long = [] if lap is None or not longest else [each for each in lap.log if len(each.encoded.input_ids) > longest]
        return Shared(len(long), len({each.image for each in long})) if long else None

    @property
    def agreement(self) -> Agreement | None:
        """Compare the rows of both sides; None without both."""
        if not self.both:
            return None
        return compared(
            (one, other) for plain, ours in self._pairs() for one, other in zip(plain.rows, ours.rows, strict=True)
        )

    def data(self) -> dict[str, Any]:
        """Return everything measured, without the rows."""
        return {
            "editor": self.editor,
            "benchmark": self.benchmark,
            "load": {side: loaded._asdict() for side, loaded in self.load.items()},
            "ratio": {clock: self.ratio(clock) for clock in CLOCKS},
            "ratio_with_floor": {clock: self.ratio(clock, floor=True) for clock in CLOCKS},
            "bound": self.bound(),
            "bound_with_floor": self.bound(floor=True),
            "least_seconds": self.least_seconds(),
            "ceilings": None if self.ceilings is None else self.ceilings._asdict(),
            "agreement": None if self.agreement is None else self.agreement._asdict(),
            "laps": {side: [lap.data() for lap in laps] for side, laps in self.laps.items()},
            "steps": {side: [step.data() for step in steps] for side, steps in self.steps.items()},
            "step_ratio": self._step_ratios(),
            "step_bound": self.step_bound(),
            "step_bound_with_asides": self.step_bound(asides=True),
            "step_operations": [
                {name: count._asdict() for name, count in each._asdict().items()} for each in self.step_counts
            ],
            "operations": [{name: count._asdict() for name, count in each._asdict().items()} for each in self.counts],
        }

    def _step_ratios(self) -> dict[str, Any]:
        sights: tuple[Sight, ...] = ("new", "seen")
        return {
            f"{sight}{', with asides' if asides else ''}": {c: self.step_ratio(c, sight, asides=asides) for c in CLOCKS}
            for sight in sights
            for asides in (False, True)
        }

    def _pairs(self) -> Iterator[tuple[Lap, Lap]]:
        return zip(self.laps["plain"], self.laps["mmke"], strict=True)


CLOCKS: tuple[Clock, ...] = ("wall", "cpu")


def compared(rows: Iterable[tuple[ScoreRow, ScoreRow]]) -> Agreement:
    """Compare the answers of two sides, row by row."""
    said = [(one.after, other.after) for one, other in rows if one.after is not None or other.after is not None]
    gaps = [_gap(one, other) for one, other in said]
    return Agreement(len(said), sum(_ids(one) != _ids(other) for one, other in said), max(gaps, default=0.0))


def _ids(said: StoredAnswer | None) -> tuple[int, ...] | None:
    return None if said is None else said.ids


def _gap(one: StoredAnswer | None, other: StoredAnswer | None) -> float:
    if one is None or other is None or one.target_logprob is None or other.target_logprob is None:
        return 0.0
    return abs(one.target_logprob - other.target_logprob)
