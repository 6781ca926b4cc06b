"""What a run is going to write, for whoever looks at its folder: the file in `plans/` (`results/plans.py`)."""

from mmke.protocols import Backbone
from mmke.results.places import run_path
from mmke.results.plans import PlannedCell, WrittenPlan, write_plan
from mmke.results.rows import RecordKey
from mmke.running.planning import Cell, Plan
from mmke.running.schedule import Examine
from mmke.running.stated import run_settings


def announce(planned: Plan, backbone: Backbone) -> None:
    """Write the plan of a run into its results folder.

    Args:
        planned: the resolved request.
        backbone: loaded, or its skeleton.

    Raises:
        UserError: the folder holds another shard of a run, or cannot be written to.
    """
    out, shard = planned.request.out, planned.request.shard
    mine, whole = _by_place(planned, planned.cells, backbone), _by_place(planned, planned.whole, backbone)
    cells = {}
    for place, some in whole.items():
        own = mine.get(place, [])
        dealt = shard is not None and not some[0].streamed
        order = tuple(key.case_id for key in _keys(some)) if dealt else None
        states = sum(isinstance(event, Examine) and event.edits_applied > 0 for cell in own for event in cell.events)
        cells[place] = PlannedCell(len(_keys(own)), states, order)
    write_plan(out, WrittenPlan(shard, cells))


def _by_place(planned: Plan, cells: tuple[Cell, ...], backbone: Backbone) -> dict[str, list[Cell]]:
    """Return cells by their folder; the floors of several orders of a stream have one."""
    out, found = planned.request.out, dict[str, list[Cell]]()
    for cell in cells:
        path = run_path(out, run_settings(planned.request, cell, backbone))
        found.setdefault(path.relative_to(out).as_posix(), []).append(cell)
    return found


def _keys(cells: list[Cell]) -> list[RecordKey]:
    """Return the records of cells that share a folder, each once."""
    return list(dict.fromkeys(key for cell in cells for key in cell.keys))
