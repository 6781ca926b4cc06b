"""A stream: many edits in one model, one step after the other, and when its cases are scored.

In: the cases that `arranging.py` chose and ordered. Out: events for the one loop. A step applies the edits of `batch`
cases together. The state of the model is the number of cases in it; a case's position is the state in which its own
step has ended.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmke.running.schedule import Apply, Event, Examine, Leave, Open, Refer, Save, Score
from mmke.running.stream_settings import StreamSettings
from mmke.types import EditCase

SAVE_EVERY = 50
"""Steps after which the session is saved, besides the checkpoints."""


@dataclass(frozen=True)
class Stream:
    """A stream of the cases of one benchmark in one order.

    Attributes:
        settings: what it is.
        order_seed: of the order; None: of the floor, which is the same in every order.
        sessions: the cases of each session, in the order of their edits.
        extra: cases behind the last, which only make gaps.
        distractors: cases that are edited in first and never scored.
        scored: ids of the cases that are scored.
        panel: ids of those that are scored at checkpoints.
        notes: what the user should know of it.
    """

    settings: StreamSettings
    order_seed: int | None
    sessions: tuple[tuple[EditCase, ...], ...]
    extra: tuple[EditCase, ...]
    distractors: tuple[EditCase, ...]
    scored: frozenset[str]
    panel: frozenset[str]
    notes: tuple[str, ...] = ()

    @property
    def tests(self) -> int:
        """How many cases are edited in, without extra ones and distractors."""
        return sum(map(len, self.sessions))

    @property
    def name(self) -> str:
        """Return its name in rows and folders."""
        return self.settings.named(self.tests)

    @property
    def cases(self) -> tuple[EditCase, ...]:
        """Return the cases that are edited, in the order of their edits, without distractors."""
        return (*(case for session in self.sessions for case in session), *self.extra)

    def unedited(self) -> "Stream":
        """Return the stream as the floor's rows name it: they are the same in every order."""
        return replace(self, order_seed=None)

    def described(self) -> Mapping[str, Any]:
        """Return its settings for run.json."""
        return self.settings.described(self.tests)

    def floor(self) -> list[Event]:
        """Ask every scored case of the unedited model, once: no edit changes what it answers."""
        found: list[Event] = [Open()]
        for case in self._scored_cases():
            found += [Refer(case, "base"), Score(case, edits_applied=0)]
        return [*found, Leave()]

    def events(self, *, previous: bool) -> list[Event]:
        """Return the whole stream; what metrics compare with is asked before the first edit.

        `previous` changes nothing: a stream compares with the unedited model.
        """
        checks = bool(self.settings.moments.at or self.settings.moments.end)
        found: list[Event] = [Open(), *[Examine(0)] * checks]
        found += [Refer(case, "base") for case in self._scored_cases()]
        found.append(Leave())
        step = 0
        for session in self.sessions:
            events = list(self._session(session, first_step=step))
            step += sum(isinstance(event, Apply) for event in events)
            found += [Open(), *events, Leave()]
        return found

    def _scored_cases(self) -> list[EditCase]:
        return [case for session in self.sessions for case in session if case.id in self.scored]

    def _session(self, cases: Sequence[EditCase], *, first_step: int) -> Iterator[Event]:
        """Yield what one session does between its opening and its end."""
        batch, step, filled = self.settings.batch, first_step, 0
        for some in batches(self.distractors, batch):
            filled += len(some)
            yield Apply(some, step, filled, distractors=True)
            if filled == len(self.distractors) or (step + 1) % SAVE_EVERY == 0:
                yield Save(step)
            step += 1
        positions: dict[str, int] = {}
        for some in batches([*cases, *self.extra], batch):
            state = len(positions) + len(some)
            if self.settings.moments.before:
                asked = [case for case in some if case.id in self.scored]
                yield from (Score(case, filled + len(positions), filled + state) for case in asked)
            positions |= dict.fromkeys((case.id for case in some), state)
            yield Apply(some, step, filled + state)
            checkpoint = self._is_checkpoint(state, len(cases))
            if checkpoint or (step + 1) % SAVE_EVERY == 0:
                yield Save(step)
            due = list(self._due(cases, positions, state, checkpoint=checkpoint))
            yield from (Score(case, filled + state, filled + positions[case.id]) for case in due)
            if checkpoint:
                yield Examine(filled + state, step, tuple(case.id for case in due))
            step += 1

    def _is_checkpoint(self, state: int, cases: int) -> bool:
        moments = self.settings.moments
        return state in moments.at or (moments.end and state == cases)

    def _due(
        self, cases: Sequence[EditCase], positions: Mapping[str, int], state: int, *, checkpoint: bool
    ) -> Iterator[EditCase]:
        """Yield the cases that are scored in a state, each once."""
        for case in cases:
            position = positions.get(case.id)
            if position is None or case.id not in self.scored:
                continue
            if state - position in self.settings.moments.gaps or (checkpoint and case.id in self.panel):
                yield case


def batches(items: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    for begin in range(0, len(items), size):
        yield tuple(items[begin : begin + size])
