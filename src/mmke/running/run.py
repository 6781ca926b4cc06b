"""A run: every chosen editor on every chosen benchmark, each in a folder of its own.

In: a `Plan`. Out: the folders with rows. On each benchmark the floor (`none`) is run first, since the other editors'
rows state its scores. Mistakes of the user are found before any weights are read: in the request, in the plan, and on
the backbone's skeleton. A folder that holds finished records is continued.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from pathlib import Path

import torch

from mmke.editing.settings import deviations
from mmke.editing.trained import check_weights, read_facts, read_shapes
from mmke.protocols import Backbone, TrainableEditor
from mmke.results.abilities import read_abilities
from mmke.results.finished import read_finished
from mmke.results.folder import check_continues, finished_keys, open_run, set_aside
from mmke.results.locks import check_free
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.ordering import has_gaps, put_in_order
from mmke.results.places import floor_path, run_path
from mmke.results.plans import check_shard_of
from mmke.results.saved_session import Origin, digest_of
from mmke.results.states import read_states
from mmke.running import beforehand
from mmke.running.execution import ChangedBackboneError, Job, execute
from mmke.running.fingerprint import fingerprint
from mmke.running.journal import Journal, open_journal, read_journal
from mmke.running.loading import Loaded, load
from mmke.running.planning import Cell, Plan
from mmke.running.request import FLOOR, Request
from mmke.running.schedule import Apply, Examine
from mmke.running.scoring import Floor
from mmke.running.stated import run_settings
from mmke.running.written_plan import announce
from mmke.types import Ask


def run(
    planned: Plan,
    *,
    command: Sequence[str] = (),
    on_record: Callable[[], None] = lambda: None,
    backbone: Backbone | None = None,
    skeletons: Loaded | None = None,
) -> list[Path]:
    """Work through a plan and return the folders of its cells.

    Args:
        planned: the resolved request.
        command: the command line, for run.json.
        on_record: called once for every record of every cell, also for those that were finished before.
        backbone: the request's, where it is loaded already.
        skeletons: see `check_sites`.

    Raises:
        UserError: a folder holds a run with other settings, or is being written by another program.
        ChangedBackboneError: an editor has changed the backbone.
    """
    announce(planned, check_sites(planned, skeletons))
    if not planned.cells:
        return []
    backbone = load(planned.request) if backbone is None else backbone
    folders: list[Path] = []
    untouched = fingerprint(backbone.module)
    for cells in _by_benchmark(planned.cells):
        # A store for each benchmark: no other asks about the same records.
        request = planned.request
        editors = {cell.editor.name: cell.editor for cell in cells}.values()
        job = Job.of(backbone, seed=request.seed, untouched=untouched, editors=tuple(editors), on_disk=request.on_disk)
        folders += [run_cell(request, job, cell, command=command, on_record=on_record) for cell in cells]
    return folders


def _by_benchmark(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    for _, group in groupby(cells, key=lambda cell: cell.benchmark.name):
        yield list(group)


def run_cell(
    request: Request,
    job: Job,
    cell: Cell,
    *,
    command: Sequence[str],
    on_record: Callable[[], None],
) -> Path:
    """Run one editor on one benchmark, and return the folder of its rows.

    Args:
        request: of the whole run.
        job: the loaded backbone and what the cells of a benchmark share.
        cell: the editor and the records.
        command: the command line, for run.json.
        on_record: called once for every record, also for those that were finished before.

    Raises:
        UserError: see `execution.execute`; the floor's rows are not all there.
        ChangedBackboneError: the editor has changed the backbone; its files are set aside.
    """
    settings = run_settings(request, cell, job.backbone)
    path = run_path(request.out, settings)
    wanted = set(cell.keys)
    if is_finished(path, cell):
        # Not opened for writing, so that several runs can share a finished floor.
        for _ in wanted:
            on_record()
        return path
    facts = facts_of(request, cell, command=command, threads=torch.get_num_threads())
    gaps = has_gaps(path, cell.keys)
    with open_run(request.out, settings, facts, prompt_of=job.backbone.prompt_text) as folder:
        floor = None if cell.editor.name == FLOOR else _read_floor(floor_path(request.out, settings, FLOOR))
        for _ in folder.done & wanted:
            on_record()
        try:
            with _journal(path, cell, settings) as journal:
                execute(job, cell, folder, floor=floor, on_record=on_record, journal=journal)
        except ChangedBackboneError as error:
            set_aside(path)
            raise ChangedBackboneError(f"{error}; what it wrote is void and set aside as {path}/*.void") from error
    if gaps:
        put_in_order(path, cell.keys)
    return path


def facts_of(request: Request, cell: Cell, *, command: Sequence[str], threads: int) -> RunFacts:
    """Return what this start adds to a cell's run.json; `threads` are those of the process that computes."""
    return RunFacts(
        len(cell.split.cases),
        cell.split.dropped,
        tuple(command),
        cell.split.kinds,
        threads if request.device == "cpu" else None,
        trained_on=cell.overlap.trained_on,
        chosen_by=cell.overlap.chosen_by,
        deviations=deviations(cell.editor.name, request.backbone, request.protocol),
        available=cell.available,
        wanted=len(cell.keys),
        steps=sum(isinstance(event, Apply) for event in cell.events) if cell.streamed else None,
        shard=request.shard,
    )


def is_finished(path: Path, cell: Cell) -> bool:
    """Tell whether a folder has all records of a cell, all its states, and the answers to its suites in each."""
    states = {event.step for event in cell.events if isinstance(event, Examine) and event.edits_applied}
    if not (set(cell.keys) <= finished_keys(path) and states <= {state.step for state in read_states(path)}):
        return False
    asked = {(step, suite.name) for step in (*states, None) for suite in cell.suites}
    return not asked or asked <= {record.key for record in read_abilities(path)}


def _journal(path: Path, cell: Cell, settings: RunSettings) -> AbstractContextManager[Journal | None]:
    """Open what a stream writes beside rows; nothing for the floor, and where each record is alone."""
    if not cell.streamed:
        return nullcontext()
    locality = frozenset(kind.name for kind in cell.split.kinds if kind.role == "locality")
    return open_journal(path, _origin(cell, settings), cell.events, locality=locality, suites=cell.suites)


def _origin(cell: Cell, settings: RunSettings) -> Origin:
    """Return what a session must have been saved of to go on in a cell: the same model, settings and order."""
    order = [case.id for event in cell.events if isinstance(event, Apply) for case in event.cases]
    stream = digest_of([settings.as_dict(), order])
    return Origin(settings.editor, settings.backbone, settings.weights_revision, stream)


def _read_floor(folder: Path) -> Floor:
    return Floor.of(row for record in read_finished(folder, answers=True) for row in record.rows)


def check_sites(planned: Plan, skeletons: Loaded | None = None) -> Backbone:
    """Look at the backbone's skeleton and return it: resolve every editor's sites, refuse folders of other settings.

    Args:
        planned: the resolved request.
        skeletons: where the skeleton is loaded, if it is not there already; None: it is loaded here.

    Raises:
        UserError: weights are missing or wrong, the backbone lacks a site, a checkpoint is of other shapes, or a folder
            was made with other settings or is another shard.
    """
    check_shard_of(planned.request.out, planned.request.shard)
    backbone = (skeletons or Loaded(skeleton=True)).of(planned.request)
    for cell in planned.cells:
        cell.editor.check(backbone)
        if cell.checkpoint is not None and isinstance(cell.editor, TrainableEditor):
            check_weights(cell.checkpoint, read_facts(cell.checkpoint)[0], revision=backbone.revision)
            cell.editor.load_state_dict(backbone, read_shapes(cell.checkpoint))
            cell.editor.release()
        settings = run_settings(planned.request, cell, backbone)
        check_continues(planned.request.out, settings, cell.split.cases, shard=planned.request.shard)
        path = run_path(planned.request.out, settings)
        streamed = cell.streamed
        if streamed or not is_finished(path, cell):  # several programs share a floor that is finished
            check_free(path)
        if streamed:
            read_journal(path, _origin(cell, settings), cell.events, cell.suites)
    for cell in {cell.benchmark.name: cell for cell in planned.cells}.values():
        beforehand.warn(backbone, cell.benchmark.name, cell.split.cases, Ask(labels=cell.switches.labels))
    return backbone
