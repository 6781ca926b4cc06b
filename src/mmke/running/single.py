"""The single-edit schedule: open, ask, apply, ask, leave, score, write; every record starts from the unedited model."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from mmke.errors import CannotAskError, UserError
from mmke.protocols import Backbone, Editor, EditSession, Store
from mmke.results.timings import Timing
from mmke.running.asking import ask, not_asked
from mmke.running.measuring import Stopwatch
from mmke.running.scoring import Answers, Floor, Heard, make_rows
from mmke.types import EditCase, Metric, ScoreRow


@runtime_checkable
class Keeper(Protocol):
    """Where finished records go: a run's folder, or a list in memory. `done` names those that are there already."""

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
        floor: the unedited model's rows; None when the editor is `none` and these are they.
        store: keeps trunks.
        seed: set before each record, so that a record's rows do not depend on those before it.
    """

    backbone: Backbone
    editor: Editor
    cases: Sequence[EditCase]
    metrics: Sequence[Metric]
    floor: Floor | None
    store: Store
    seed: int


def run_single(task: Task, folder: Keeper, *, on_record: Callable[[], None]) -> None:
    """Edit and score each record that is not in the folder yet, writing its rows as soon as they are known."""
    carried: Answers | None = None
    for case, following in zip(task.cases, _following(task), strict=True):
        wanted = case.id not in folder.done
        # Where locality is compared with the previous edit, the edit before the first new record is repeated.
        needed_next = following is not None and following.id not in folder.done
        if wanted or needed_next:
            with _told_when_memory_ends(task, case):
                carried = _edit(task, case, following if needed_next else None, carried, folder if wanted else None)
        if wanted:
            on_record()


@contextmanager
def _told_when_memory_ends(task: Task, case: EditCase) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        device = task.backbone.device
        held = torch.cuda.memory_reserved(device) / 2**30 if device.type == "cuda" else 0.0
        raise UserError(
            f"{device} has too little memory for {task.editor.name} on {task.backbone.name} at record {case.id} "
            f"({held:.1f} GiB are held); what is finished is kept. End what else runs there (nvidia-smi), take "
            "--dtype float16, fewer demonstrations (--set ike.demonstrations=8), or a larger card"
        ) from error


def _edit(
    task: Task, case: EditCase, following: EditCase | None, carried: Answers | None, folder: Keeper | None
) -> Answers | None:
    """Edit one record; score it if there is a folder to write to; return what the edited model says to the next one."""
    torch.manual_seed(task.seed)
    watch = Stopwatch(task.backbone.device)
    with task.editor.open(task.backbone, task.store) as session:
        with watch.phase("before"):
            base = {} if folder is None else ask(session, case, _comparing(task))
        with watch.phase("edit"):
            refused = _apply(session, case)
        with watch.phase("after"):
            if refused is not None:
                after = not_asked(case, task.metrics, refused)
            else:
                after = {} if folder is None else ask(session, case, task.metrics)
        # Behind an edit that could not be made the next record is compared with the unedited model, as the first is.
        ahead = None
        if following is not None and refused is None:
            ahead = ask(session, following, _comparing(task, "previous edit"))
    if folder is not None:
        # The first record has no edit before it: it is compared with the base, as published.
        heard = Heard({"base": base, "previous edit": base if carried is None else carried}, after)
        rows = make_rows(case, task.metrics, heard, floor=task.floor, edits=len(case.edits))
        folder.append(case, rows, watch.timing())
    return ahead


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


def _following(task: Task) -> list[EditCase | None]:
    """Return for each record the one whose locality must be asked before it is left."""
    if not _comparing(task, "previous edit"):
        return [None] * len(task.cases)
    return [*task.cases[1:], None]
