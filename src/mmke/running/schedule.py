"""Schedules: in which order edits and questions come. A schedule is a list of events, which one loop works off.

In: cases. Out: events for `loop.run`. The single-edit schedule opens a session for each case; a stream keeps one open
(`stream.py`). What is finished already is taken out of the list here (`remaining`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from mmke.results.rows import RecordKey
from mmke.types import EditCase

Reference = Literal["base", "previous edit"]


@dataclass(frozen=True, slots=True)
class Open:
    """A session begins on the unedited backbone."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The session ends, and the backbone is what it was."""


@dataclass(frozen=True, slots=True)
class Refer:
    """Ask a case's questions of the model as it is now: metrics will compare the edited model's answers with these."""

    case: EditCase
    reference: Reference


@dataclass(frozen=True, slots=True)
class Apply:
    """Edit by the edits of some cases together.

    Attributes:
        cases: one batch.
        step: the number of this batch in a stream, from 0; None where each record is alone.
        edits_applied: how many cases are in the model after it.
        distractors: whether these cases are never scored.
    """

    cases: tuple[EditCase, ...]
    step: int | None = None
    edits_applied: int = 1
    distractors: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """Ask a case's questions of the edited model, and write its rows.

    Attributes:
        case: whose questions.
        edits_applied: how many cases are in the model.
        position: how many there were when the case's own step had ended; None where each record is alone.
    """

    case: EditCase
    edits_applied: int = 1
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Save:
    """Save the session, so that a stream that is stopped continues from here. `step`: of the last batch."""

    step: int


@dataclass(frozen=True, slots=True)
class Examine:
    """Look for signs of collapse: in the model before any edit (`edits_applied` 0), and at each checkpoint.

    Attributes:
        edits_applied: how many cases are in the model.
        step: of the last batch; None before any edit.
        cases: ids of those that are scored in this state.
    """

    edits_applied: int
    step: int | None = None
    cases: tuple[str, ...] = ()


Event = Open | Leave | Refer | Apply | Score | Save | Examine


@runtime_checkable
class Schedule(Protocol):
    """In which order edits and questions come.

    Attributes:
        name: in rows and in the results' path.
        order_seed: of the order of the edits; None where it does not matter.
        notes: what the user should know of it.
    """

    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def name(self) -> str: ...
    @property
    def order_seed(self) -> int | None: ...

    def described(self) -> Mapping[str, Any] | None:
        """Return its settings for run.json; None where there are none."""
        ...

    def unedited(self) -> "Schedule":
        """Return the schedule as the floor's rows name it."""
        ...

    def events(self, *, previous: bool) -> list[Event]:
        """Return what is done, in order.

        Args:
            previous: whether a metric compares with the model that was edited with the record before.
        """
        ...

    def floor(self) -> list[Event]:
        """Return what is done with the same cases under the editor that edits nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Single:
    """Every case is edited into the unedited model, scored, and undone.

    Under `paper`, locality of fine-tuning is compared with the model that was edited with the *previous* case. So,
    before a session is left, the next case is asked as well.
    """

    cases: Sequence[EditCase]
    name: str = "single"
    order_seed: int | None = None
    notes: tuple[str, ...] = ()

    def described(self) -> None:
        """Return None: there are no settings."""

    def unedited(self) -> "Single":
        """Return the same schedule."""
        return self

    def events(self, *, previous: bool) -> list[Event]:
        """Return for each case: open, ask, edit, ask again, leave."""
        found: list[Event] = []
        for case, after in zip(self.cases, [*self.cases[1:], None], strict=False):
            found += [Open(), Refer(case, "base"), Apply((case,)), Score(case)]
            if previous and after is not None:
                found.append(Refer(after, "previous edit"))
            found.append(Leave())
        return found

    def floor(self) -> list[Event]:
        """Return the same events: the editor that edits nothing is asked like any other."""
        return self.events(previous=False)


def scores(events: Sequence[Event]) -> list[Score]:
    """Return which records a schedule writes, in its order."""
    return [event for event in events if isinstance(event, Score)]


def record_key(event: Score, schedule: Schedule) -> RecordKey:
    """Return which record of a run an event writes."""
    return RecordKey(event.case.id, schedule.name, event.edits_applied, schedule.order_seed)


def remaining(events: Sequence[Event], done: Callable[[Score | Examine], bool]) -> list[Event]:
    """Return the events that are left to do, with the edits that these need.

    Args:
        events: of a whole schedule.
        done: whether a record, or the examination of a state, is finished.
    """
    left = [event for event in events if isinstance(event, Score | Examine) and event_left(event, done)]
    cases = {event.case.id for event in left if isinstance(event, Score)}
    examines = any(isinstance(event, Examine) for event in left)

    def wanted(event: Event) -> bool:
        match event:
            case Refer(case):
                return case.id in cases
            case Score():
                return not done(event)
            case Examine(edits_applied):
                return examines if edits_applied == 0 else not done(event)
            case _:
                return True

    found: list[Event] = []
    for session in _sessions(events):
        kept = [event for event in session if wanted(event)]
        last = max((i for i, event in enumerate(kept) if isinstance(event, Refer | Score | Examine)), default=None)
        if last is not None:
            found += [*kept[: last + 1], Leave()]
    return found


def event_left(event: Score | Examine, done: Callable[[Score | Examine], bool]) -> bool:
    """Tell whether an event that writes something is left to do; the unedited model is examined for the others."""
    return not (isinstance(event, Examine) and event.edits_applied == 0) and not done(event)


def _sessions(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield the events of each session, from its opening to its end."""
    session: list[Event] = []
    for event in events:
        session.append(event)
        if isinstance(event, Leave):
            yield session
            session = []
