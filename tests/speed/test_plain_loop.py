"""The yardstick of `benchmarks/`: the plain loop computes the same answers, and its operations are counted right."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmke import registry
from mmke.backbones import packing
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.protocols import OUTPUT, Cut, Encoded
from mmke.results.folder import RunFolder
from mmke.running.run import Request, plan
from mmke.running.single import Cell, run_cell
from mmke.types import Ask, EditCase, Probe, Query, ScoreRow

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from counting import Shapes, needed_operations, plain_operations, shapes
from plain import Forward, PlainBackbone

CHANGES = {"ft-llm": {"steps": 2}, "ft-alignment": {"steps": 2}, "ike-random": {"demonstrations": 2}, "none": {}}
ONE = Shapes(vision=0, align=0, align_gradient=0, layers=1, mlp=0, mlp_gradient=0, pair=0, head=0)


class Kept(RunFolder):
    def __init__(self) -> None:
        self.done = set()
        self.rows: list[ScoreRow] = []

    def append(self, case_id: str, rows: list[ScoreRow], timing: object) -> None:
        self.rows += rows


@pytest.fixture(scope="module", params=["tiny-llava", "tiny-blip2"])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return registry.factory("backbones", request.param)(
        name=request.param, dtype=torch.float32, device=torch.device("cpu")
    )


def rows_of(backbone: Any, editor: str, data: Path) -> tuple[list[ScoreRow], Cut]:
    """Run the first record."""
    request = Request(
        backbone=backbone.name,
        editors=(editor,),
        benchmarks=("mmke-user",),
        data=data,
        changes={editor: CHANGES[editor]},
    )
    cell = plan(request).cells[-1]
    kept = Kept()
    cases: tuple[EditCase, ...] = cell.split.cases[:1]
    run_cell(Cell(backbone, cell.editor, cases, cell.metrics, None, MemoryStore(), 0), kept, on_record=lambda: None)
    return kept.rows, cell.editor.cut(backbone) if hasattr(cell.editor, "cut") else OUTPUT


def without_attention(backbone: ComposedBackbone) -> Shapes:
    return replace(shapes(backbone), pair=0)


def products(counter: FlopCounterMode) -> int:
    """Return multiply-adds but those of attention, which PyTorch does not count alike on every device."""
    return sum(n for op, n in counter.get_flop_counts()["Global"].items() if "attention" not in str(op)) // 2


@pytest.mark.parametrize("editor", CHANGES)
def test_its_rows_are_ours(backbone: ComposedBackbone, small_data: Path, editor: str) -> None:
    plain, _ = rows_of(PlainBackbone(backbone), editor, small_data)
    ours, _ = rows_of(backbone, editor, small_data)
    assert [(row.probe, row.metric) for row in plain] == [(row.probe, row.metric) for row in ours]
    for one, other in zip(plain, ours, strict=True):
        assert one.after is not None
        assert other.after is not None
        assert one.after.ids == other.after.ids
        assert one.after.target_logprob == pytest.approx(other.after.target_logprob, abs=1e-4)


@pytest.mark.parametrize("editor", CHANGES)
def test_its_products_are_counted_as_pytorch_counts_them(
    backbone: ComposedBackbone, small_data: Path, editor: str
) -> None:
    plain = PlainBackbone(backbone)
    with FlopCounterMode(display=False) as counter:
        _, cut = rows_of(plain, editor, small_data)
    shape = without_attention(backbone)
    assert plain_operations(plain.log, shape, cut) == pytest.approx(products(counter), rel=0.02)


def test_a_shared_prefix_is_needed_once_and_the_last_token_never() -> None:
    queries = [Encoded((1, 2, 3, 9), (9,), (2,), (0,)), Encoded((1, 2, 4, 9), (9,), (2,), (0,))]
    log = [Forward(query, None, edited=False, step=False) for query in queries]
    assert plain_operations(log, ONE, OUTPUT) == 8
    assert needed_operations(log, ONE, OUTPUT) == 4


def test_our_side_needs_no_more_than_is_needed(backbone: ComposedBackbone, small_data: Path) -> None:
    plain = PlainBackbone(backbone)
    _, cut = rows_of(plain, "ft-llm", small_data)
    shape = without_attention(backbone)
    with FlopCounterMode(display=False) as counter:
        rows_of(backbone, "ft-llm", small_data)
    assert needed_operations(plain.log, shape, cut) <= products(counter) < plain_operations(plain.log, shape, cut)


@pytest.mark.parametrize("chain", [1, 8])
def test_a_leading_chain_without_a_mask_answers_the_same(
    backbone: ComposedBackbone, monkeypatch: pytest.MonkeyPatch, chain: int
) -> None:
    texts = ["In which of the rooms is it?", "In which of the towns is it?", "In which?"]
    probes = [Probe("t_rel", Query(text), "here") for text in texts]
    masked = backbone.answer(probes, Ask())
    monkeypatch.setattr(packing, "LONG_CHAIN", chain)
    chained = backbone.answer(probes, Ask())
    greedy = backbone.answer(probes, Ask(decode="greedy", max_new=3))
    monkeypatch.undo()
    assert [a.token_ids for a in greedy] == [
        a.token_ids for a in backbone.answer(probes, Ask(decode="greedy", max_new=3))
    ]
    for one, other in zip(masked, chained, strict=True):
        assert one.token_ids == other.token_ids
        assert one.target_logprob == pytest.approx(other.target_logprob, abs=1e-5)
