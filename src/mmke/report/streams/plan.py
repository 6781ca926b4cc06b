"""What a stream was asked for, from `run.json`, and how far it came."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmke.report.streams.curves import Asked
from mmke.results.steps import StepRecord


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a stream that its figures need.

    Attributes:
        order: "seed", "file" or "grouped:TAG".
        tests: cases that are edited and scored.
        batch: cases of one step.
        score: the moments as text, such as "right,gap:2,at:1,3,10,end".
        panel: cases scored at a checkpoint; 0: all.
        reset: the session is opened anew after so many cases; 0: never.
        groups: the same after so many groups of the order; 0: never.
        distract: cases that are edited in first and never scored.
        first_of_group: whether only the first case of each group is scored.
    """

    order: str
    tests: int
    batch: int
    score: str
    panel: int = 0
    reset: int = 0
    groups: int = 0
    distract: int = 0
    first_of_group: bool = False

    @classmethod
    def of(cls, stream: Mapping[str, Any]) -> "Plan":
        """Return the plan that the settings in `run.json` tell; settings that this version does not know are left out.

        Raises:
            KeyError: a setting is missing.
        """
        needed = {name: stream[name] for name in ("order", "tests", "batch", "score")}
        return cls(**needed, **{name: stream[name] for name in _OPTIONAL if name in stream})

    @property
    def gaps(self) -> tuple[int, ...]:
        """How many edits after its own each case is asked; 0: right after it."""
        return (*([0] if "right" in self.score.split(",") else []), *self._numbers("gap"))

    @property
    def last(self) -> int | None:
        """The state after the last scored case; None where parts of different lengths have different ones."""
        return None if self.groups else self.distract + (self.reset or self.tests)

    @property
    def asked(self) -> Asked:
        """When all cases so far were asked."""
        # Distractors are in the model before the first case: the numbers behind `at:` do not count them.
        states = {self.distract + state for state in self._numbers("at")}
        end = "end" in self.score.split(",") or self.last in states
        last = {self.last} if end and self.last is not None else set()
        return Asked(sorted(states | last), self.gaps, end)

    def ends(self, steps: Sequence[StepRecord]) -> Callable[[str], int]:
        """Return a function that tells of a case the last state of the part of the stream to which it belongs."""
        if not (self.reset or self.groups):
            return lambda _: self.distract + self.tests
        found: dict[str, int] = {}
        for number, part in enumerate(_parts(steps)):
            cases = [case for step in part for case in step.cases]
            size = min(self.reset, self.tests - number * self.reset) if self.reset else None
            found |= dict.fromkeys(cases, part[-1].edits_applied if size is None else self.distract + size)
        return lambda case: found.get(case, self.last or 0)

    def _numbers(self, moment: str) -> tuple[int, ...]:
        """Return the numbers behind `gap:` or `at:`, where these stand one after the other or each with the word."""
        found, kind = [], ""
        for part in self.score.split(","):
            head, colon, number = part.rpartition(":")
            kind = head if colon else kind if number.isdigit() else ""
            if kind == moment:
                found.append(int(number))
        return tuple(found)


_OPTIONAL = ("panel", "reset", "groups", "distract", "first_of_group")


def _parts(steps: Sequence[StepRecord]) -> list[list[StepRecord]]:
    """Return the steps of each session: where one begins anew, fewer cases are in the model than before."""
    found: list[list[StepRecord]] = []
    for step in steps:
        if not found or step.edits_applied <= found[-1][-1].edits_applied:
            found.append([])
        found[-1].append(step)
    return found
