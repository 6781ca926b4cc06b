"""What each start is going to write: files in `plans/` of a results folder, by which others see what is still to come.

A run opens the folder of a cell when its turn comes. Until then nothing but the plan says that there will be one:
`mmke status` and `mmke merge` read it. A later start with the same cells writes the same file anew.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter
from typing_extensions import TypedDict

from mmke.errors import UserError
from mmke.lines import json_object, to_line, validated, write_at_once
from mmke.results.shard import Shard, refuse_other, shard_from

PLANS = "plans"
WAY_OUT = "delete it, and give the command of the run again, which writes it anew"


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """What one start is going to write of a cell.

    Attributes:
        wanted: how many records; in a shard 0 where other shards write them all.
        states: of a stream, how many states of the model are examined.
        order: in a shard, the ids of the records of all shards, in evaluation order; None of a stream, which one shard
            writes alone, and where the run is whole.
    """

    wanted: int
    states: int = 0
    order: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """What one start is going to write.

    Attributes:
        shard: which part of a run; None: a whole one.
        cells: by their folder below the results folder, with `/` between its parts.
    """

    shard: Shard | None
    cells: Mapping[str, PlannedCell]


class _Cell(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    wanted: NonNegativeInt
    states: NonNegativeInt
    order: list[str] | None


class _Plan(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    shard: dict[str, int] | None
    cells: dict[str, _Cell]


_ADAPTER = TypeAdapter(_Plan)


def write_plan(out: Path, plan: WrittenPlan) -> None:
    """Write a plan below a results folder, in the place of an earlier one of the same cells.

    Raises:
        UserError: the folder holds another shard, or cannot be made.
    """
    check_shard_of(out, plan.shard)
    name = hashlib.sha256("\n".join(sorted(plan.cells)).encode()).hexdigest()[:16]
    plain = {
        "shard": None if plan.shard is None else plan.shard._asdict(),
        "cells": {
            place: {"wanted": cell.wanted, "states": cell.states, "order": cell.order}
            for place, cell in plan.cells.items()
        },
    }
    try:
        (out / PLANS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out / PLANS} ({error.strerror}); choose another --out") from error
    write_at_once(out / PLANS / f"{name}.json", to_line(plain))


def check_shard_of(out: Path, shard: Shard | None) -> None:
    """Refuse a results folder in which another shard of a run lies.

    Raises:
        UserError: the message says which.
    """
    for plan in read_plans(out):
        refuse_other(out, plan.shard, shard)


def read_plans(out: Path) -> list[WrittenPlan]:
    """Return the plans of a results folder, the oldest first.

    Raises:
        UserError: one of them is broken.
    """
    files = sorted((out / PLANS).glob("*.json"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [_read(file) for file in files]


def _read(file: Path) -> WrittenPlan:
    try:
        plain = validated(_ADAPTER.validate_python, json_object(file.read_bytes()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{file} is broken ({error}); {WAY_OUT}") from error
    cells = {
        place: PlannedCell(cell["wanted"], cell["states"], None if cell["order"] is None else tuple(cell["order"]))
        for place, cell in plain["cells"].items()
    }
    for place in cells:
        if place.startswith("/") or ".." in place.split("/"):
            raise UserError(f"{file} names {place!r}, which is no folder below the results; {WAY_OUT}")
    return WrittenPlan(shard_from(plain["shard"], file), cells)
