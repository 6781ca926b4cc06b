"""The single-edit schedule: every record is edited into the unedited model, and scored.

In: a `Task`. For each record: open a session, ask the probes, apply the edit, ask again, leave the session (which
undoes the edit), score. Out: its rows and timing, which go to a `Keeper` at once.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from mmke.errors import CannotAskError, UserError
from mmke.protocols import Backbone, Editor, EditSession, Store
from mmke.results.timings import Timing
from mmke.running.asking import ask, not_asked, write
from mmke.running.measuring import Stopwatch
from mmke.running.scoring import Answers, CaseAnswers, Floor, make_rows
from mmke.types import EditCase, Metric, ScoreRow


@runtime_checkable
class Keeper(Protocol):
    """Where the rows of finished records go: a run's folder, or a list in memory. `done`: ids that it has already."""

    @property
    def done(self) -> Collection[str]: ...
    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None: ...


@dataclass(frozen=True)
class Task:
    """One editor on the records of one benchmark, with everything loaded.

    Attributes:
        backbone: unedited.
        editor: the method.
        cases: the records, in evaluation order.
        metrics: what is scored.
        floor: the unedited model's rows; None where the editor is `none`, which makes them.
        store: keeps what was computed below the edited layers.
        seed: set before each record, so that a record's rows do not depend on those before it.
    """

    backbone: Backbone
    editor: Editor
    cases: Sequence[EditCase]
    metrics: Sequence[Metric]
    floor: Floor | None
    store: Store
    seed: int


def run_single(task: Task, keeper: Keeper, *, on_record: Callable[[], None]) -> None:
    """Edit and score each record that the keeper does not have yet.

    Under `paper`, locality of fine-tuning is compared with the model that was edited with the *previous* record. So,
    before a session is left, the next record is asked as well. Where the next record is new, an edit is repeated for
    this even if its own record is finished.
    """
    compares_with_previous = bool(_comparing(task, "previous edit"))
    previous: Answers | None = None
    for case, next_case in zip(task.cases, [*task.cases[1:], None], strict=False):
        wanted = case.id not in keeper.done
        if not compares_with_previous or next_case is None or next_case.id in keeper.done:
            next_case = None  # noqa: PLW2901  # it need not be asked here
        if wanted or next_case is not None:
            with _out_of_memory_told(task, case):
                previous = _edit(task, case, keeper if wanted else None, previous=previous, next_case=next_case)
        if wanted:
            on_record()


@contextmanager
def _out_of_memory_told(task: Task, case: EditCase) -> Iterator[None]:
    """Turn an out-of-memory error into one that says at which record, and what helps."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        device = task.backbone.device
        held = torch.cuda.memory_reserved(device) / 2**30 if device.type == "cuda" else 0.0
        raise UserError(
            f"{device} has too little memory for {task.editor.name} on {task.backbone.name} at record {case.id} "
            f"({held:.1f} GiB are held); what is finished is kept. End what else runs there (nvidia-smi), take "
            "--dtype float16, fewer demonstrations (--set ike.demonstrations=8), or a larger GPU"
        ) from error


def _edit(
    task: Task, case: EditCase, keeper: Keeper | None, *, previous: Answers | None, next_case: EditCase | None
) -> Answers | None:
    """Edit one record, and score it if there is a keeper for its rows.

    Args:
        task: the editor, the backbone and the metrics.
        case: the record.
        keeper: where its rows go; None: they are there already.
        previous: what the model edited with the record before answers to this one; None: there is none.
        next_case: the record that this edited model is to be asked as well; None: none.

    Returns:
        What the edited model answers to `next_case`; None where it was not asked.
    """
    torch.manual_seed(task.seed)
    watch = Stopwatch(task.backbone.device)
    with task.editor.open(task.backbone, task.store) as session:
        with watch.phase("before"):
            written = {} if keeper is None else write(session, case, task.metrics)
            base = {} if keeper is None else ask(session, case, _comparing(task), written)
        with watch.phase("edit"):
            refused = _apply(session, case)
        with watch.phase("after"):
            if refused is not None:
                after = not_asked(case, task.metrics, refused)
            else:
                after = {} if keeper is None else ask(session, case, task.metrics, written)
        # After an edit that could not be made, the next record is compared with the unedited model, as the first is.
        of_next = None
        if next_case is not None and refused is None:
            of_next = ask(session, next_case, _comparing(task, "previous edit"))
    if keeper is not None:
        # No edit comes before the first record: it is compared with the unedited model, as published.
        answers = CaseAnswers({"base": base, "previous edit": base if previous is None else previous}, after)
        rows = make_rows(case, task.metrics, answers, floor=task.floor, edits=len(case.edits))
        keeper.append(case, rows, watch.timing())
    return of_next


def _apply(session: EditSession, case: EditCase) -> str | None:
    """Make a record's edits; return why they cannot be made, where they cannot."""
    try:
        session.apply(case.edits)
    except CannotAskError as error:
        return f"the edit cannot be made: {error}"
    return None


def _comparing(task: Task, reference: str | None = None) -> list[Metric]:
    """Return the metrics that compare two models, or those that compare with one reference."""
    return [m for m in task.metrics if m.reference is not None and reference in (None, m.reference)]
