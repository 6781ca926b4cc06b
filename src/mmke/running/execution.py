"""Run one cell: one editor on the records of one benchmark.

In: a `Job` (the loaded backbone and what its cells share), the cell, and the keeper for its rows. Out: the rows, in the
keeper. The caller decides which cells are run, where rows go, what is locked and what is shown.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mmke import registry
from mmke.backbones.engine.cards import cards_of
from mmke.backbones.engine.store import store_for
from mmke.editing.trained import network_tensors, read
from mmke.editors.none.edit import prepare_for
from mmke.protocols import Backbone, Editor, Store, TrainableEditor
from mmke.running.fingerprint import fingerprint
from mmke.running.journal import Journal
from mmke.running.loop import Keeper, Task, run
from mmke.running.memory import forget_peaks, release
from mmke.running.planning import Cell
from mmke.running.schedule import Examine, Schedule, Score, record_key, remaining
from mmke.running.scoring import Floor


class ChangedBackboneError(RuntimeError):
    """An editor has changed the backbone, in at least one bit: a bug. The rows it wrote are not valid."""


@dataclass(frozen=True)
class Job:
    """What the cells of one benchmark share.

    Attributes:
        backbone: loaded and unedited.
        store: keeps what was computed below the edited layers, for the next editor on the same records.
        seed: set before each record.
        untouched: fingerprint of the unedited backbone.
        editors: those that are run on the same records; the floor stores for them what it computes.
        on_disk: see `Job.of`.
    """

    backbone: Backbone
    store: Store
    seed: int
    untouched: str
    editors: tuple[Editor, ...] = ()
    on_disk: int | None = None

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        *,
        seed: int,
        untouched: str | None = None,
        editors: tuple[Editor, ...] = (),
        on_disk: int | None = None,
        share: int = 1,
    ) -> "Job":
        """Return a job with an empty store.

        Args:
            backbone: loaded and unedited.
            seed: set before each record.
            untouched: its fingerprint, where it is known.
            editors: those that are run on the same records.
            on_disk: bytes of the disk that the store takes at most, and as many what a stream compares with; None: by
                what is free.
            share: how many processes share the machine's memory and this bound, each with a store of its own.
        """
        on_disk = None if on_disk is None else on_disk // share
        store = store_for(backbone.device, on_disk=on_disk, share=share)
        return cls(backbone, store, seed, untouched or fingerprint(backbone.module), editors, on_disk)


def execute(
    job: Job,
    cell: Cell,
    keeper: Keeper,
    *,
    floor: Floor | None,
    on_record: Callable[[], None] = lambda: None,
    journal: Journal | None = None,
) -> None:
    """Edit and score the records of a cell that the keeper does not have yet.

    Args:
        job: the loaded backbone and what belongs to it.
        cell: the editor and the records.
        keeper: where the rows go.
        floor: the unedited model's rows of these records; None when this cell makes them.
        on_record: called after each record that was written.
        journal: what a stream writes beside rows.

    Raises:
        UserError: a broken checkpoint, too little memory.
        ChangedBackboneError: the editor has changed the backbone.
    """
    edit_and_score(job, cell, keeper, floor=floor, on_record=on_record, journal=journal)
    check_untouched(job, [cell.editor.name])


def check_untouched(job: Job, editors: Sequence[str]) -> None:
    """Compare the backbone with its fingerprint from before the edits of some editors.

    Raises:
        ChangedBackboneError: it is another one.
    """
    if fingerprint(job.backbone.module) != job.untouched:
        who = "editor" if len(editors) == 1 else "one of the editors"
        raise ChangedBackboneError(f"{who} {', '.join(map(repr, editors))} has changed the backbone")


def edit_and_score(
    job: Job,
    cell: Cell,
    keeper: Keeper,
    *,
    floor: Floor | None,
    on_record: Callable[[], None] = lambda: None,
    journal: Journal | None = None,
) -> None:
    """Do what `execute` does, without the look at the backbone at the end.

    Raises:
        UserError: see `execute`.
    """
    devices = cards_of(job.backbone.module)
    release(*devices)
    forget_peaks(*devices)
    with filled(cell, job.backbone), registry.named("editors", cell.editor.name):
        editor = prepare_for(cell.editor, job.editors)
        events = remaining(cell.events, lambda event: is_done(event, cell.schedule, keeper, journal))
        schedule = cell.schedule
        task = Task(
            backbone=job.backbone,
            editor=editor,
            events=events,
            metrics=cell.metrics,
            floor=floor,
            store=job.store,
            seed=job.seed,
            schedule=schedule.name,
            order_seed=schedule.order_seed,
            journal=journal,
            on_disk=job.on_disk,
        )
        run(task, keeper, on_record=on_record)


def is_done(event: Score | Examine, schedule: Schedule, keeper: Keeper, journal: Journal | None) -> bool:
    """Tell whether what an event writes is there already."""
    if isinstance(event, Examine):
        return journal is None or journal.is_examined(event.step)
    return record_key(event, schedule) in keeper.done


@contextmanager
def filled(cell: Cell, backbone: Backbone) -> Iterator[None]:
    """Load a trained editor's networks from its checkpoint, and free their memory afterwards.

    Raises:
        UserError: the checkpoint is broken, or of another editor, backbone or other settings.
    """
    if cell.checkpoint is None or not isinstance(cell.editor, TrainableEditor):
        yield
        return
    cell.editor.load_state_dict(backbone, network_tensors(read(cell.checkpoint).tensors))
    try:
        yield
    finally:
        cell.editor.release()
