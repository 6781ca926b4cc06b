"""Cells are executed without a folder, a lock or a loop around them, and each is measured by itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from mmke.editors.none.edit import NullEditor, NullSession
from mmke.protocols import Backbone, EditSession, Store
from mmke.results.rows import RecordKey
from mmke.results.timings import Timing
from mmke.running.execution import ChangedBackboneError, Job, execute
from mmke.running.loading import load_backbone
from mmke.running.planning import Plan, plan
from mmke.running.request import Request
from mmke.running.scoring import Floor
from mmke.types import Edit, EditCase, ScoreRow

MIB = 1 << 20
HELD = 400 * MIB


class InMemory:
    """Keeps finished records in a list, as a worker would before it sends them."""

    def __init__(self) -> None:
        self.done: set[RecordKey] = set()
        self.rows: list[ScoreRow] = []
        self.peaks: list[int] = []

    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None:
        self.done.add(RecordKey.of(rows[0]))
        self.rows += rows
        self.peaks.append(timing.peak_memory_bytes or 0)

    def floor(self) -> Floor:
        return Floor({(row.case_id, row.probe, row.metric): row for row in self.rows})


@dataclass(frozen=True)
class Greedy(NullSession):
    """Takes much memory while it edits, and gives it back."""

    def apply(self, edits: Sequence[Edit]) -> None:
        torch.ones(HELD // 4)


@dataclass(frozen=True)
class GreedyEditor(NullEditor):
    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        yield Greedy(backbone, store)


@dataclass(frozen=True)
class CarelessEditor(NullEditor):
    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        yield NullSession(backbone, store)
        with torch.no_grad():
            next(backbone.module.parameters()).add_(1)


@pytest.fixture
def planned(small_data: Path, tmp_path: Path) -> Plan:
    return plan(Request("tiny-llava", ("ft-llm",), ("mmke-entity",), data=small_data, out=tmp_path, limit=2))


def test_a_cell_runs_into_any_keeper_and_a_second_time_into_none(planned: Plan) -> None:
    none, ft = planned.cells
    job, floor, edited = Job.of(load_backbone("tiny-llava"), seed=0), InMemory(), InMemory()
    execute(job, none, floor, floor=None)
    execute(job, ft, edited, floor=floor.floor())
    assert floor.done == edited.done == {RecordKey(case.id, "single", 1, None) for case in ft.split.cases}
    assert all(row.floor is not None for row in edited.rows if row.metric == "i_rel" and row.value is not None)
    before = list(edited.rows)
    execute(job, ft, edited, floor=floor.floor())
    assert edited.rows == before


def test_a_cells_peak_memory_is_its_own(planned: Plan) -> None:
    job, first, second = Job.of(load_backbone("tiny-llava"), seed=0), InMemory(), InMemory()
    none = planned.cells[0]
    execute(job, replace(none, editor=GreedyEditor()), first, floor=None)
    execute(job, none, second, floor=None)
    assert max(second.peaks) < max(first.peaks) - HELD // 2


def test_an_editor_that_changes_the_backbone_is_found_out(planned: Plan) -> None:
    job = Job.of(load_backbone("tiny-llava"), seed=0)
    with pytest.raises(ChangedBackboneError, match="editor 'none' has changed the backbone"):
        execute(job, replace(planned.cells[0], editor=CarelessEditor()), InMemory(), floor=None)
