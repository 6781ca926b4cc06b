"""The parts of a run that was divided among shards: read, and held against each other before they are put together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmke.counting import counted
from mmke.errors import UserError
from mmke.results.finished import read_finished
from mmke.results.locks import check_free
from mmke.results.manifest import differences
from mmke.results.plans import PlannedCell, read_plans
from mmke.results.run_json import read_run
from mmke.results.shard import Shard, shard_of, told
from mmke.results.states import read_states

GROWING = ("kinds", "columns", "records", "history")
"""Fields of `run.json` that do not decide the rows."""
SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The results folder of one shard.

    Attributes:
        folder: the `--out` of the shard.
        shard: which part.
        cells: what it was to write, by the folder of each cell below `folder`.
    """

    folder: Path
    shard: Shard
    cells: Mapping[str, PlannedCell]

    def __str__(self) -> str:
        """Return how messages call it."""
        return f"shard {self.shard} ({self.folder})"


def read_part(folder: Path) -> Part:
    """Return what a folder says of itself.

    Raises:
        UserError: it is no shard of a run.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; name the --out of each mmke run --shard I/N")
    plans = read_plans(folder)
    if not plans:
        raise UserError(f"{folder} holds no shard of a run; name the --out of each mmke run --shard I/N")
    shard = plans[-1].shard
    if shard is None:
        raise UserError(f"{folder} holds a whole run, and mmke merge puts shards together; leave it out")
    cells: dict[str, PlannedCell] = {}
    for plan in plans:
        cells |= plan.cells
    return Part(folder, shard, cells)


def check_parts(parts: Sequence[Part]) -> None:
    """Refuse parts that do not make one whole run.

    Raises:
        UserError: one is missing, there twice, of another run or not finished.
    """
    _check_numbers(parts)
    first = parts[0]
    for part in parts[1:]:
        _check_same_cells(first, part)
    for place in first.cells:
        _check_same_settings(place, parts)
    lacking = [line for part in parts for line in _unfinished(part)]
    if lacking:
        more = [f"and {len(lacking) - SHOWN} more"] if len(lacking) > SHOWN else []
        raise UserError(
            "not all parts are finished:\n"
            + "\n".join(f"  {line}" for line in [*lacking[:SHOWN], *more])
            + "\ngive the commands of these shards again, then merge"
        )


def read_cell(part: Part, place: str) -> dict[str, Any] | None:
    """Return what `run.json` of a part's cell holds; None where the part has no such folder.

    Raises:
        UserError: it is broken, or of another shard.
    """
    folder = part.folder / place
    run = read_run(folder)
    if run is not None and shard_of(run) != part.shard:
        raise UserError(f"{folder} holds {told(shard_of(run))}, and {part.folder} is {told(part.shard)}")
    return run


def _check_numbers(parts: Sequence[Part]) -> None:
    seen: dict[Shard, Part] = {}
    for part in parts:
        if part.shard.of != parts[0].shard.of:
            raise UserError(f"{parts[0]} and {part} are parts of different divisions; merge those of one run")
        if part.shard in seen:
            raise UserError(f"{seen[part.shard].folder} and {part.folder} are both shard {part.shard}; name one")
        seen[part.shard] = part
    of = parts[0].shard.of
    missing = [str(Shard(number, of)) for number in range(1, of + 1) if Shard(number, of) not in seen]
    if missing:
        names = ", ".join([*missing[:SHOWN], *["…"] * (len(missing) > SHOWN)])
        raise UserError(f"{counted(len(missing), 'shard')} of {of} missing: {names}; name the --out of each")


def _check_same_cells(first: Part, part: Part) -> None:
    for one, other in ((first, part), (part, first)):
        alone = sorted(one.cells.keys() - other.cells.keys())
        if alone:
            raise UserError(f"{one} has {alone[0]}, and {other} was run without it; parts have to be of one command")
    for place, cell in first.cells.items():
        order = part.cells[place].order
        if cell.order != order:
            counts = [counted(len(each), "record") if each is not None else "a stream" for each in (cell.order, order)]
            raise UserError(
                f"{place}: {first} was run over {counts[0]} in all and {part} over {counts[1]}, or over others; "
                "parts have to be of one command, with the same --limit"
            )


def _check_same_settings(place: str, parts: Sequence[Part]) -> None:
    found = [(part, run) for part in parts if (run := read_cell(part, place)) is not None]
    for part, run in found[1:]:
        decided = [{key: value for key, value in each.items() if key not in GROWING} for each in (found[0][1], run)]
        changes = [
            change.replace("the folder has", f"shard {found[0][0].shard} has").replace(
                "this run", f"shard {part.shard}"
            )
            for change in differences(*decided)
        ]
        if changes:
            raise UserError(
                f"{place}: {found[0][0]} and {part} were made with other settings:\n"
                + "\n".join(f"  {change}" for change in changes)
            )


def _unfinished(part: Part) -> Iterator[str]:
    for place, cell in part.cells.items():
        if not cell.wanted:
            continue
        folder = part.folder / place
        if read_cell(part, place) is None:
            yield f"{part} has not begun {place}"
            continue
        check_free(folder)
        done = sum(cell.order is None or record.case_id in cell.order for record in read_finished(folder))
        if done < cell.wanted:
            yield f"{part} has {done} of {counted(cell.wanted, 'record')} of {place}"
        elif len(read_states(folder)) < cell.states:
            yield f"{part} has not examined the model to the end of {place}"
