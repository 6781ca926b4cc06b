"""What a stream's folder holds beside rows: steps, states, and the session saved last, from which it continues.

In: what the loop did. Out: lines of `steps.jsonl`, `states.jsonl` and `abilities.jsonl`, and the folder `session/`. A
stream that is opened again goes on from here: what stands there is not written again, and edits behind the saved
session are made again.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import BinaryIO, NamedTuple

from mmke.abilities.question import Suite
from mmke.errors import UserError
from mmke.lines import Line, put, rounded
from mmke.protocols import EditSession
from mmke.results.abilities import ABILITIES, AbilityRecord, ability_line, read_ability_lines
from mmke.results.finished import read_finished
from mmke.results.saved_session import Origin, SavedSession, read_session, unfit
from mmke.results.states import STATES, StateRecord, read_state_lines, state_line
from mmke.results.steps import STEPS, StepRecord, read_step_lines, step_line
from mmke.running import saved_sessions
from mmke.running.schedule import Apply, Event, Examine, Leave, Refer, Score
from mmke.types import ScoreRow

AtState = tuple[str, int]
"""A case and the state in which it was scored."""


@dataclass
class Journal:
    """A stream's further files, open for writing; made by `open_journal`.

    Attributes:
        folder: the stream's.
        origin: what a saved session must be of.
        locality: kinds of question whose agreement tells of the model's health.
        steps: that are written.
        examined: states that are written, each by its step.
        saved: the session saved last.
        agreement: of the records scored so far, on the locality questions.
        suites: of abilities that are asked at checkpoints.
        answered: steps and suites whose answers are written.
    """

    folder: Path
    origin: Origin
    locality: frozenset[str]
    steps: list[StepRecord]
    examined: set[int | None]
    saved: SavedSession | None
    files: Mapping[str, BinaryIO]
    agreement: dict[AtState, float] = field(default_factory=dict)
    suites: tuple[Suite, ...] = ()
    answered: set[tuple[int | None, str]] = field(default_factory=set)

    def add_step(self, record: StepRecord) -> None:
        """Write a step, unless it is there already: after a kill the last edits are made again."""
        if record.step == len(self.steps):
            put(self.files[STEPS], step_line(record))
            self.steps.append(record)

    def add_state(self, record: StateRecord) -> None:
        """Write the health of the model at a checkpoint."""
        put(self.files[STATES], state_line(record))
        self.examined.add(record.step)

    def add_ability(self, record: AbilityRecord) -> None:
        """Write what a model answered to a suite of abilities."""
        put(self.files[ABILITIES], ability_line(record))
        self.answered.add(record.key)

    def unanswered(self, step: int | None) -> list[Suite]:
        """Return the suites that are left to ask in a state."""
        return [suite for suite in self.suites if (step, suite.name) not in self.answered]

    def is_examined(self, step: int | None) -> bool:
        """Tell whether all is written that is looked at in a state."""
        return step in self.examined and not self.unanswered(step)

    def add_rows(self, rows: Sequence[ScoreRow]) -> None:
        """Take up how far a record's locality answers agree with the unedited model's."""
        values = [
            each
            for row in rows
            if row.kind in self.locality and row.metric == row.kind and (each := rounded(row.value)) is not None
        ]
        if values:
            self.agreement[rows[0].case_id, rows[0].edits_applied] = fmean(values)

    def agreement_at(self, event: Examine) -> float | None:
        """Return the mean agreement over the records that were scored in a state; None where there was none."""
        found = [self.agreement.get((case, event.edits_applied)) for case in event.cases]
        some = [value for value in found if value is not None]
        return fmean(some) if some else None

    def save(self, session: EditSession, *, step: int, cases: Sequence[str]) -> None:
        """Save the session after a step, in the place of the one before.

        Raises:
            UserError: the disk is full, or the folder cannot be written to.
        """
        saved_sessions.save(self.folder, session, self.origin, step=step, cases=cases)

    def load(self, session: EditSession) -> None:
        """Load what was saved into a session that was just opened.

        Raises:
            UserError: the editor cannot go on from it.
        """
        if self.saved is not None:
            saved_sessions.load(self.folder, session, self.saved)


class Written(NamedTuple):
    """What stands in a stream's folder beside rows: complete lines, and the session saved last."""

    steps: list[Line[StepRecord]]
    states: list[Line[StateRecord]]
    abilities: list[Line[AbilityRecord]]
    saved: SavedSession | None


def read_journal(folder: Path, origin: Origin, events: Sequence[Event], suites: Sequence[Suite] = ()) -> Written:
    """Read what a stream's folder holds beside rows; it is not changed.

    Args:
        folder: the stream's.
        origin: the model and the stream.
        events: all of the stream.
        suites: of abilities that are asked.

    Raises:
        UserError: a file is broken, the saved session does not fit, or other questions of a suite were asked.
    """
    steps, states, abilities = read_step_lines(folder), read_state_lines(folder), read_ability_lines(folder)
    _check_same_questions(folder, [line.content for line in abilities], suites)
    saved = read_session(folder, origin, in_force=in_force(events).get)
    if saved is not None and saved.step >= len(steps):
        raise unfit(folder, f"it was saved after step {saved.step}, and {STEPS} ends before that")
    return Written(steps, states, abilities, saved)


def _check_same_questions(folder: Path, found: Sequence[AbilityRecord], suites: Sequence[Suite]) -> None:
    """Refuse to ask other questions than those that were asked: their figures would stand side by side."""
    now = {suite.name: suite.revision for suite in suites}
    for record in found:
        if now.get(record.suite, record.revision) != record.revision:
            raise UserError(
                f"{folder / ABILITIES} holds answers to other questions of {record.suite} than this start asks "
                "(another number, or another file); ask the same, delete that file, or choose another --out"
            )


@contextmanager
def open_journal(
    folder: Path, origin: Origin, events: Sequence[Event], *, locality: frozenset[str], suites: tuple[Suite, ...] = ()
) -> Iterator[Journal]:
    """Open the files of a stream beside its rows; half a line, which a kill left at the end, is cut off.

    Args:
        folder: the stream's, which no other program writes.
        origin: the model and the stream.
        events: all of the stream.
        locality: see `Journal`.
        suites: see `Journal`.

    Raises:
        UserError: see `read_journal`.
    """
    steps, states, abilities, saved = read_journal(folder, origin, events, suites)
    with (
        _appended(folder / STEPS, [line.end for line in steps]) as steps_file,
        _appended(folder / STATES, [line.end for line in states]) as states_file,
        _appended(folder / ABILITIES, [line.end for line in abilities]) if suites else nullcontext() as abilities_file,
    ):
        files = {STEPS: steps_file, STATES: states_file}
        journal = Journal(
            folder=folder,
            origin=origin,
            locality=locality,
            steps=[line.content for line in steps],
            examined={line.content.step for line in states},
            saved=saved,
            files=files if abilities_file is None else files | {ABILITIES: abilities_file},
            suites=suites,
            answered={line.content.key for line in abilities},
        )
        for record in read_finished(folder):
            journal.add_rows(record.rows)
        yield journal


@contextmanager
def _appended(file: Path, ends: Sequence[int]) -> Iterator[BinaryIO]:
    """Open a file at the end of its last complete line."""
    opened = file.open("ab")
    try:
        end = ends[-1] if ends else 0
        if opened.tell() != end:
            opened.truncate(end)
            os.fsync(opened.fileno())
        yield opened
    finally:
        # After a failed write the rest is still in Python's buffer, and fails again.
        with suppress(OSError):
            opened.close()


def in_force(events: Sequence[Event]) -> dict[int, tuple[str, ...]]:
    """Return for each step of a stream the ids of the cases in the model after it, in the order of their edits."""
    found: dict[int, tuple[str, ...]] = {}
    cases: list[str] = []
    for event in events:
        if isinstance(event, Leave):
            cases.clear()
        elif isinstance(event, Apply) and event.step is not None:
            cases += [case.id for case in event.cases]
            found[event.step] = tuple(cases)
    return found


def steps_to_skip(events: Sequence[Event], saved: SavedSession | None) -> range:
    """Return the steps whose edits the saved session holds, so that they need not be made again.

    There are none where something is left to ask in the same session before its last step.
    """
    first, asked = None, False
    for event in events:
        if isinstance(event, Leave):
            first, asked = None, False
        elif isinstance(event, Refer | Score | Examine):
            asked = True
        elif isinstance(event, Apply) and event.step is not None and saved is not None:
            first = event.step if first is None else first
            if event.step == saved.step:
                return range(0) if asked else range(first, saved.step + 1)
    return range(0)
