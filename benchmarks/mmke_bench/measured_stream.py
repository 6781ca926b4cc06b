"""What was measured of one editor in a stream, and the figures that are taken from it."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mmke.report.streams.cost import Cost, cost_of
from mmke.results.finished import FinishedRecord
from mmke.results.steps import StepRecord
from mmke_bench.measured import Agreement, Loaded, compared
from mmke_bench.sides import SideName

Figure = Literal["edit", "first", "right", "again"]
"""Seconds of an edit, of asking a record for the first time (the unedited model), right after its own edit, later."""
FIGURES: tuple[Figure, ...] = get_args(Figure)


@dataclass(frozen=True)
class StreamSide:
    """One side of a stream.

    Attributes:
        loaded: what loading took.
        schedule: its name.
        whole: whether it came to its end within the time that it was given.
        settings: the stream's.
        floor_seconds: of all records asked of the unedited model.
        stream_seconds: of all edits and all that was asked in between, behind the floor.
        floor: the records asked of the unedited model.
        records: those asked of the edited one.
        steps: the edits.
    """

    loaded: Loaded
    schedule: str
    whole: bool
    settings: Mapping[str, Any]
    floor_seconds: float
    stream_seconds: float
    floor: Sequence[FinishedRecord]
    records: Sequence[FinishedRecord]
    steps: Sequence[StepRecord]

    @property
    def edits(self) -> int:
        """How many cases were edited in."""
        return self.steps[-1].edits_applied if self.steps else 0

    @property
    def seconds(self) -> float:
        """All seconds, without loading."""
        return self.floor_seconds + self.stream_seconds

    @property
    def cost(self) -> Cost:
        """What it costs by decade of the number of edits."""
        return cost_of(self.steps, self.records)

    @property
    def peak(self) -> int:
        """The most bytes of memory, the unedited model's records included."""
        timings = [record.timing for record in (*self.floor, *self.records) if record.timing is not None]
        found = [*(each.peak_memory_bytes for each in timings), *(step.peak_memory_bytes for step in self.steps)]
        return max((peak for peak in found if peak is not None), default=0)

    def median(self, figure: Figure, *, edits: int | None = None) -> float | None:
        """Return a figure's median seconds; with `edits`, over the edits and states up to it; None without any."""
        found = [value for state, value in self._points(figure) if edits is None or state <= edits]
        return statistics.median(found) if found else None

    def _points(self, figure: Figure) -> Iterator[tuple[int, float]]:
        """Yield the state and the seconds of each edit, or of each record that was asked."""
        if figure == "edit":
            yield from ((step.edits_applied, step.seconds) for step in self.steps if not step.distractors)
            return
        for record in self.floor if figure == "first" else self.records:
            if record.timing is None:
                continue
            seconds, row = record.timing.seconds, record.rows[0]
            if figure == "first":
                yield 0, seconds["before"] + seconds["after"]
            elif (figure == "right") == (row.edits_applied == row.position):
                yield row.edits_applied, seconds["after"]

    def data(self) -> dict[str, Any]:
        """Return the figures and each edit's and record's seconds, without rows."""
        return {
            "load": self.loaded._asdict(),
            "schedule": self.schedule,
            "whole": self.whole,
            "settings": dict(self.settings),
            "edits": self.edits,
            "floor_seconds": self.floor_seconds,
            "stream_seconds": self.stream_seconds,
            "medians": {figure: self.median(figure) for figure in FIGURES},
            "cost": self.cost.as_dict(),
            "peak_memory_bytes": self.peak,
            "points": {figure: list(self._points(figure)) for figure in FIGURES},
        }


@dataclass(frozen=True)
class MeasuredStream:
    """One editor in a stream of one benchmark.

    Attributes:
        editor: name.
        benchmark: name.
        workload: what the records are.
        sides: what was measured.
    """

    editor: str
    benchmark: str
    workload: str
    sides: Mapping[SideName, StreamSide]

    @property
    def whole(self) -> bool:
        """Whether both sides did the same."""
        sides = self.sides.values()
        return all(side.whole for side in sides) and len({side.schedule for side in sides}) == 1

    def ratio(self, figure: Figure) -> float | None:
        """Return how many times as fast ours was, over the edits that both made; None without both sides."""
        if len(self.sides) != 2:
            return None
        most = min(side.edits for side in self.sides.values())
        plain, ours = (self.sides[name].median(figure, edits=most) for name in ("plain", "mmke"))
        if figure == "again" and ours is None:  # ours has no checkpoint among the plain loop's edits
            ours = self.sides["mmke"].median(figure)
        return plain / ours if plain and ours else None

    @property
    def total(self) -> float | None:
        """How many times as fast ours was in all; None unless both sides did the same."""
        if len(self.sides) != 2 or not self.whole:
            return None
        return self.sides["plain"].seconds / self.sides["mmke"].seconds

    @property
    def agreement(self) -> Agreement | None:
        """Compare the rows that both sides have: of the same record in the same state. None without both."""
        if len(self.sides) != 2:
            return None
        plain, ours = (
            {(record.case_id, record.key.edits_applied): record.rows for record in self.sides[name].records}
            for name in ("plain", "mmke")
        )
        return compared(
            (one, other) for key in plain if key in ours for one, other in zip(plain[key], ours[key], strict=True)
        )

    def data(self) -> dict[str, Any]:
        """Return everything measured, without the rows."""
        return {
            "editor": self.editor,
            "benchmark": self.benchmark,
            "workload": self.workload,
            "sides": {name: side.data() for name, side in self.sides.items()},
            "ratios": {figure: self.ratio(figure) for figure in FIGURES},
            "ratio_of_totals": self.total,
            "agreement": None if self.agreement is None else self.agreement._asdict(),
        }
