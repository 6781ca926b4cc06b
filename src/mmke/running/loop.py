"""The one loop that edits: open, ask, apply, ask, leave, score, write.

In: a `Task`, whose events say what comes next (`schedule.py`). Out: rows and timings, which go to a `Keeper` at once.
The single-edit run and every stream are schedules of this loop.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from mmke.backbones.engine.cards import cards_of
from mmke.backbones.engine.disk import OnDisk
from mmke.editing.states import persistent_bytes
from mmke.errors import CannotAskError, TooLittleMemoryError
from mmke.protocols import Backbone, Editor, EditSession, Store, TakesOwnEdits
from mmke.results.rows import RecordKey
from mmke.results.steps import StepRecord
from mmke.results.timings import Timing
from mmke.running.abilities import ability_record
from mmke.running.asking import ask, not_asked, write
from mmke.running.health import Look, judge, look
from mmke.running.journal import Journal, steps_to_skip
from mmke.running.measuring import Stopwatch
from mmke.running.references import References
from mmke.running.schedule import Apply, Event, Examine, Leave, Open, Refer, Save, Score
from mmke.running.scoring import CaseAnswers, Floor, When, make_rows
from mmke.types import Ask, EditCase, Metric, ScoreRow


@runtime_checkable
class Keeper(Protocol):
    """Where the rows of finished records go: a run's folder, or a list in memory. `done`: those that it has already."""

    @property
    def done(self) -> Collection[RecordKey]: ...
    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None: ...


@dataclass(frozen=True)
class Task:
    """One editor on the records of one benchmark, with everything loaded.

    Attributes:
        backbone: unedited.
        editor: the method.
        events: what is left to do.
        metrics: what is scored.
        floor: the unedited model's rows; None where the editor is `none`, which makes them.
        store: keeps what was computed below the edited layers.
        seed: set before each edit and each question, so that rows do not depend on what was drawn before.
        schedule: its name, for the rows.
        order_seed: see `schedule.Schedule`.
        on_disk: bytes of the disk that may be taken for what cases are compared with; None: by what is free.
        journal: of a stream; where there is one, steps and states are written, and the session is saved.
    """

    backbone: Backbone
    editor: Editor
    events: Sequence[Event]
    metrics: Sequence[Metric]
    floor: Floor | None
    store: Store
    seed: int
    schedule: str = "single"
    order_seed: int | None = None
    journal: Journal | None = None
    on_disk: int | None = None


def run(task: Task, keeper: Keeper, *, on_record: Callable[[], None] = lambda: None) -> None:
    """Work off the events of a task."""
    with ExitStack() as opened:
        now = _Now.of(task, opened)
        for event in task.events:
            with _out_of_memory_told(task, event):
                match event:
                    case Open():
                        now.open()
                    case Refer():
                        now.refer(event)
                    case Apply():
                        now.apply(event)
                    case Score():
                        rows, timing = now.score(event)
                        keeper.append(event.case, rows, timing)
                        now.note(rows)
                        on_record()
                    case Save():
                        now.save(event)
                    case Examine():
                        now.examine(event)
                    case Leave():
                        opened.close()


@dataclass
class _Now:
    """What the loop holds while it works.

    Attributes:
        task: what is to be done.
        opened: closes the session.
        left: how often each case is still to be scored; what its answers are compared with is kept so long.
        references: for each case and reference, what that model answered.
        written: for each case, what the unedited model writes where metrics feed that to both models.
        refused: cases whose edits cannot be made in this session, with the reason.
        own: for each case in the session, the places of its edits among all edits that were made.
        applied: ids of the cases of the session, in the order of their edits.
        skipped: the steps whose edits the saved session holds; they are not made again.
        unedited: the health of the unedited model.
        watch: times what is done from one record to the next.
    """

    task: Task
    opened: ExitStack
    left: Counter[str]
    skipped: range
    references: References
    written: dict[str, dict[int, str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    own: dict[str, range] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    unedited: Look | None = None

    @classmethod
    def of(cls, task: Task, opened: ExitStack) -> "_Now":
        """Return the state before the first event."""
        left = Counter(event.case.id for event in task.events if isinstance(event, Score))
        saved = None if task.journal is None else task.journal.saved
        references = References(OnDisk() if task.on_disk is None else OnDisk(task.on_disk))
        return cls(task, opened, left, steps_to_skip(task.events, saved), references)

    def open(self) -> None:
        """Open a session on the unedited backbone."""
        self.refused, self.own, self.applied = {}, {}, []
        self.watch = Stopwatch(cards_of(self.task.backbone.module))
        torch.manual_seed(self.task.seed)
        self.session = self.opened.enter_context(self.task.editor.open(self.task.backbone, self.task.store))

    def refer(self, event: Refer) -> None:
        """Ask a case of the model as it is now.

        After an edit that could not be made nothing is asked: the case is then compared with the unedited model.
        """
        case, reference = event.case, event.reference
        metrics = [metric for metric in self.task.metrics if metric.reference is not None]
        with self.watch.phase("before"):
            if reference == "base":
                self.written[case.id] = write(self.session, case, self.task.metrics)
                asked = ask(self.session, case, metrics, self.written[case.id])
            elif self.refused:
                return
            else:
                # What the unedited model writes is not known of the next case, and no such metric wants it.
                asked = ask(self.session, case, [metric for metric in metrics if metric.reference == reference])
        self.references.keep(case.id, reference, asked)

    def apply(self, event: Apply) -> None:
        """Edit by one batch; a case whose edits cannot be made is left out, and its records say why."""
        journal = self.task.journal
        if journal is not None and event.step in self.skipped:
            self.refused |= journal.steps[event.step or 0].refused
            if event.step == self.skipped[-1]:
                journal.load(self.session)
        else:
            torch.manual_seed(self.task.seed)
            watch = Stopwatch(cards_of(self.task.backbone.module))
            with self.watch.phase("edit"), watch.phase("edit"):
                refused = _apply(self.session, self.task.backbone, event.cases)
            self.refused |= refused
            if journal is not None and event.step is not None:
                journal.add_step(_step(event, refused, watch.timing(), self.session))
        self.applied += [case.id for case in event.cases]
        for case in event.cases:
            if case.id not in self.refused:
                begin = max((places.stop for places in self.own.values()), default=0)
                self.own[case.id] = range(begin, begin + len(case.edits))

    def save(self, event: Save) -> None:
        """Save the session, unless it has just been loaded."""
        if self.task.journal is not None and event.step not in self.skipped:
            self.task.journal.save(self.session, step=event.step, cases=self.applied)

    def examine(self, event: Examine) -> None:
        """Ask what the model could do already, look for signs of collapse, and write what was found.

        The health of the unedited model is only kept.
        """
        journal = self.task.journal
        if journal is None:
            return
        for suite in journal.unanswered(event.step):
            journal.add_ability(ability_record(self.session, suite, step=event.step, edits_applied=event.edits_applied))
        if event.step is not None and event.step in journal.examined:
            return
        if isinstance(self.session, TakesOwnEdits):
            # The text and the sentences belong to no edit, whichever case was asked before.
            self.session.take_own_edits(())
        seen = look(self.session)
        if event.edits_applied == 0 or self.unedited is None:
            self.unedited = seen
            return
        agreement = journal.agreement_at(event)
        journal.add_state(
            judge(seen, self.unedited, edits_applied=event.edits_applied, agreement=agreement, step=event.step)
        )

    def note(self, rows: Sequence[ScoreRow]) -> None:
        """Take up what a record's rows say of the model's health."""
        if self.task.journal is not None:
            self.task.journal.add_rows(rows)

    def score(self, event: Score) -> tuple[list[ScoreRow], Timing]:
        """Ask a case of the edited model; return its rows, and what it cost since the record before."""
        case, task = event.case, self.task
        torch.manual_seed(task.seed)
        with self.watch.phase("after"):
            if case.id in self.refused:
                after = not_asked(case, task.metrics, self.refused[case.id])
            else:
                if isinstance(self.session, TakesOwnEdits):
                    self.session.take_own_edits(case.edits)
                after = ask(self.session, case, task.metrics, self.written[case.id])
        references = self.references.of(case.id)
        # No edit comes before the first record: it is compared with the unedited model, as published.
        answers = CaseAnswers({"previous edit": references["base"], **references}, after)
        when = When(
            edits_applied=event.edits_applied,
            schedule=task.schedule,
            order_seed=task.order_seed,
            position=event.position,
            own=self.own.get(case.id, range(0)),
        )
        rows = make_rows(case, task.metrics, answers, floor=task.floor, when=when)
        timing, self.watch = self.watch.timing(), Stopwatch(cards_of(task.backbone.module))
        self.left[case.id] -= 1
        if not self.left[case.id]:
            self.references.forget(case.id)
            del self.written[case.id]
        return rows, timing


def _step(event: Apply, refused: Mapping[str, str], timing: Timing, session: EditSession) -> StepRecord:
    return StepRecord(
        step=event.step or 0,
        edits_applied=event.edits_applied,
        cases=tuple(case.id for case in event.cases),
        refused=refused,
        distractors=event.distractors,
        seconds=timing.seconds["edit"],
        peak_memory_bytes=timing.peak_memory_bytes,
        memory=timing.memory,
        state_bytes=persistent_bytes(session.state()),
    )


def _apply(session: EditSession, backbone: Backbone, cases: Sequence[EditCase]) -> dict[str, str]:
    """Make the edits of a batch together; return which cases' edits cannot be made, and why."""
    try:
        session.apply([edit for case in cases for edit in case.edits])
    except CannotAskError as error:
        if len(cases) == 1:
            return {cases[0].id: f"the edit cannot be made: {error}"}
    else:
        return {}
    # One of several cannot be made: find which by what the model says of each alone, and make the others.
    alone = {case.id: _problem(backbone, case) for case in cases}
    refused = {id_: f"the edit cannot be made: {reason}" for id_, reason in alone.items() if reason is not None}
    rest = [case for case in cases if case.id not in refused]
    if not refused:
        return {case.id: "the edits of this batch cannot be made together" for case in cases}
    return refused | (_apply(session, backbone, rest) if rest else {})


def _problem(backbone: Backbone, case: EditCase) -> str | None:
    asks = (backbone.problems(edit.query, edit.target, Ask()) for edit in case.edits)
    return next((reason for reason in asks if reason is not None), None)


@contextmanager
def _out_of_memory_told(task: Task, event: Event) -> Iterator[None]:
    """Turn an out-of-memory error into one that says at which record, and what helps."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        devices = cards_of(task.backbone.module)
        held = sum(torch.cuda.memory_reserved(each) for each in devices if each.type == "cuda") / 2**30
        raise TooLittleMemoryError(
            f"{', '.join(map(str, devices))} has too little memory for {task.editor.name} on {task.backbone.name} "
            f"at {_place(event)} ({held:.1f} GiB are held); what is finished is kept. End what else runs there "
            "(nvidia-smi), take --dtype float16, fewer demonstrations (--set ike.demonstrations=8), a larger GPU, or "
            "several for the model (--device cuda:0,cuda:1)"
        ) from error


def _place(event: Event) -> str:
    match event:
        case Refer(case) | Score(case):
            return f"record {case.id}"
        case Apply(cases):
            return f"record {cases[0].id}"
        case _:
            return "the beginning of a session" if isinstance(event, Open) else "a checkpoint"
