"""The single-edit schedule: open, ask, apply, ask, leave, score, write; every record starts from the unedited model."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from mmke.errors import UserError
from mmke.protocols import Backbone, Editor, Store
from mmke.results.timings import Timing
from mmke.running.asking import Answers, ask
from mmke.running.measuring import Stopwatch
from mmke.running.scoring import Floor, Heard, make_rows
from mmke.types import EditCase, Metric, ScoreRow


@runtime_checkable
class Keeper(Protocol):
    """Where finished records go: a run's folder, or a list in memory. `done` names those that are there already."""

    @property
    def done(self) -> Collection[str]: ...
    def append(self, case_id: str, rows: Sequence[ScoreRow], timing: Timing) -> None: ...


@dataclass(frozen=True)
class Cell:
    """One editor on one backbone and benchmark.

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


def run_cell(cell: Cell, folder: Keeper, *, on_record: Callable[[], None]) -> None:
    """Edit and score each record that is not in the folder yet, writing its rows as soon as they are known."""
    carried: Answers | None = None
    for case, following in zip(cell.cases, _following(cell), strict=True):
        wanted = case.id not in folder.done
        # Where locality is compared with the previous edit, the edit before the first new record is repeated.
        needed_next = following is not None and following.id not in folder.done
        if wanted or needed_next:
            with _told_when_memory_ends(cell, case):
                carried = _edit(cell, case, following if needed_next else None, carried, folder if wanted else None)
        if wanted:
            on_record()


@contextmanager
def _told_when_memory_ends(cell: Cell, case: EditCase) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        device = cell.backbone.device
        held = torch.cuda.memory_reserved(device) / 2**30 if device.type == "cuda" else 0.0
        raise UserError(
            f"{device} has too little memory for {cell.editor.name} on {cell.backbone.name} at record {case.id} "
            f"({held:.1f} GiB are held); what is finished is kept. End what else runs there (nvidia-smi), take "
            "--dtype float16, fewer demonstrations (--set ike.demonstrations=8), or a larger card"
        ) from error


def _edit(
    cell: Cell, case: EditCase, following: EditCase | None, carried: Answers | None, folder: Keeper | None
) -> Answers | None:
    """Edit one record; score it if there is a folder to write to; return what the edited model says to the next one."""
    torch.manual_seed(cell.seed)
    watch = Stopwatch(cell.backbone.device)
    with cell.editor.open(cell.backbone, cell.store) as session:
        with watch.phase("before"):
            base = {} if folder is None else ask(session, case, _comparing(cell))
        with watch.phase("edit"):
            session.apply(case.edits)
        with watch.phase("after"):
            after = {} if folder is None else ask(session, case, cell.metrics)
        ahead = None if following is None else ask(session, following, _comparing(cell, "previous edit"))
    if folder is not None:
        # The first record has no edit before it: it is compared with the base, as published.
        heard = Heard({"base": base, "previous edit": base if carried is None else carried}, after)
        rows = make_rows(case, cell.metrics, heard, floor=cell.floor, edits=len(case.edits))
        folder.append(case.id, rows, watch.timing())
    return ahead


def _comparing(cell: Cell, reference: str | None = None) -> list[Metric]:
    """Return the metrics that compare two models, or those that compare with one reference."""
    return [m for m in cell.metrics if m.reference is not None and reference in (None, m.reference)]


def _following(cell: Cell) -> list[EditCase | None]:
    """Return for each record the one whose locality must be asked before it is left."""
    if not _comparing(cell, "previous edit"):
        return [None] * len(cell.cases)
    return [*cell.cases[1:], None]
