"""Run a plan in this process, or by as many workers as were asked for, as there is room for and as are of use.

In: a plan and what the user said of workers. Out: the same folders with the same bytes, and what was left out.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from mmke.protocols import Backbone
from mmke.running.loading import Loaded
from mmke.running.planning import Plan
from mmke.running.request import FLOOR
from mmke.running.run import run
from mmke.running.shards.blocks import cut
from mmke.running.shards.outcome import Outcome
from mmke.workers.settings import WorkerSettings

PROCESS = 1 << 30
"""Bytes that a worker takes beside the model's weights and trained networks: Python with its libraries, what it has
computed and keeps, and what an edit needs while it is made."""


def run_by(
    planned: Plan,
    settings: WorkerSettings,
    *,
    command: Sequence[str] = (),
    on_record: Callable[[], None] = lambda: None,
) -> Outcome:
    """Work through a plan.

    Args:
        planned: the resolved request.
        settings: what the user said of workers.
        command: the command line, for run.json.
        on_record: see `run.run`.

    Raises:
        UserError: see `run.run` and `sharded.run_sharded`; there is no room for as many workers as were asked for.
        ChangedBackboneError: an editor has changed the backbone.
    """
    from mmke.workers.opening import pool_for

    skeletons = Loaded(skeleton=True)
    pool = pool_for(settings, jobs=jobs_of(planned), need=lambda: need_of(planned, skeletons))
    if pool is None:
        return Outcome(run(planned, command=command, on_record=on_record, skeletons=skeletons), [])
    from mmke.running.shards.sharded import run_sharded

    return run_sharded(
        [planned], pool, command=command, on_record=on_record, threads=settings.threads, skeletons=skeletons
    )


def jobs_of(planned: Plan) -> int:
    """Return how many jobs a plan is made of at most: blocks of records, and streams."""
    jobs = 0
    for _, cells in groupby(planned.cells, key=lambda cell: cell.benchmark.name):
        together = list(cells)
        jobs += len(list(cut(len({key.case_id for cell in together for key in cell.keys}))))
        if planned.request.stream is not None:
            jobs += sum(cell.editor.name != FLOOR for cell in together)
    return jobs


def need_of(planned: Plan, skeletons: Loaded) -> int:
    """Return about how many bytes of memory a worker takes that runs a plan on a processor.

    Raises:
        UserError: weights are missing or wrong.
    """
    networks = [cell.checkpoint.stat().st_size for cell in planned.cells if cell.checkpoint is not None]
    return bytes_of(skeletons.of(planned.request)) + max(networks, default=0)


def bytes_of(skeleton: Backbone) -> int:
    """Return about how many bytes of memory a worker takes that has loaded a backbone, without what an editor adds."""
    module = skeleton.module
    return PROCESS + sum(each.numel() * each.element_size() for each in (*module.parameters(), *module.buffers()))
