"""Training steps: the plain loop's make the loss and the gradients that ours make, and are counted and timed."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import HostStore, MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.errors import UserError
from mmke.protocols import Cut, TrainableEditor
from mmke.types import PROTOCOLS, EditCase
from mmke_bench.counting import shapes
from mmke_bench.counting_trained import Trained, count_trained
from mmke_bench.plain import PlainBackbone
from mmke_bench.steps import Trainer

SMALL: Mapping[str, Mapping[str, Any]] = {
    "mend": {"rank": 8, "gradient_accumulation_steps": 1},
    "serac": {"counterfactual": "random", "embeddings": "base", "picture_head": 8},
    "ke": {"lstm": 8, "condition": 16, "conditioner": 8, "max_scale": 50.0},
}
BOTH = pytest.mark.parametrize("protocol", ["strict", "paper"])


@pytest.fixture(scope="module")
def cases(small_data: Path) -> Sequence[EditCase]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=PROTOCOLS["strict"]).cases


def prepared(name: str, protocol: str, backbone: ComposedBackbone, cases: Sequence[EditCase]) -> Any:
    """Return an editor whose networks are no longer those that change nothing."""
    made = registry.factory("editors", name)(
        resolve(name, backbone.name, SMALL[name], protocol=protocol), PROTOCOLS[protocol], train=cases, seed=0
    )
    made.prepare(backbone, cases, store=MemoryStore())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in made.network.parameters():
            parameter.data += 0.01 * torch.randn_like(parameter)
    return made


def learnt(editor: Any, backbone: Any, case: EditCase) -> tuple[Tensor, list[Tensor]]:
    """Return a record's loss and the gradients of all networks."""
    editor.network.zero_grad()
    total = editor.losses(backbone, case, store=MemoryStore(), learn=False)["total"]
    total.backward()
    return total.detach(), [p.grad.clone() for p in editor.network.parameters() if p.grad is not None]


def plain_of(editor: Any, backbone: ComposedBackbone) -> tuple[Any, PlainBackbone]:
    """Return the editor in the plain loop, and the plain loop."""
    whole = editor.published.whole_gradient
    plain, other = PlainBackbone(backbone, whole_gradient=whole), copy(editor)
    if editor.second_model is not None:
        other.second_model = PlainBackbone(editor.second_model, plain.log, counterfactual=True)
    return other, plain


@BOTH
@pytest.mark.parametrize("name", SMALL)
def test_loss_and_gradients_are_the_same_on_both_sides(
    name: str, protocol: str, backbone: ComposedBackbone, cases: Sequence[EditCase]
) -> None:
    ours = prepared(name, protocol, backbone, cases)
    if name == "mend" and ours.settings.statistics == "running":
        ours.losses(backbone, cases[1], store=MemoryStore(), learn=True)
    total, gradients = learnt(ours, backbone, cases[0])
    other, plain = plain_of(ours, backbone)
    plain_total, plain_gradients = learnt(other, plain, cases[0])
    torch.testing.assert_close(plain_total, total, rtol=1e-5, atol=1e-6)
    assert len(gradients) == len(plain_gradients) > 0
    largest = max(float(each.abs().max()) for each in gradients)
    assert largest > 0
    for one, same in zip(gradients, plain_gradients, strict=True):
        torch.testing.assert_close(same, one, rtol=1e-4, atol=1e-5 * largest)
    assert not any(parameter.requires_grad for parameter in backbone.module.parameters())


@pytest.mark.parametrize(("name", "whole"), [("mend", 1), ("serac", 0), ("ke", 0)])
def test_the_whole_gradient_is_taken_where_it_is_published(
    name: str, whole: int, backbone: ComposedBackbone, cases: Sequence[EditCase]
) -> None:
    editor, plain = plain_of(prepared(name, "strict", backbone, cases), backbone)
    learnt(editor, plain, cases[0])
    assert sum(each.whole for each in plain.log) == whole
    assert sum(each.step for each in plain.log) == {"mend": 5, "serac": 4, "ke": 2}[name]
    assert all(each.edited or each.whole or name == "ke" for each in plain.log if each.step)


@BOTH
@pytest.mark.parametrize("name", SMALL)
def test_steps_are_timed_and_need_less_than_the_plain_loop_takes(
    name: str, protocol: str, backbone: ComposedBackbone, cases: Sequence[EditCase]
) -> None:
    editor, plain = plain_of(prepared(name, protocol, backbone, cases), backbone)
    assert isinstance(editor, TrainableEditor)
    (step,) = Trainer(editor, plain, PROTOCOLS[protocol]).run(cases, 1)
    assert 0 < step.new.wall == step.seen.wall
    assert (step.asides is None) == (name == "ke")
    assert len(step.log) > 1
    cut = editor.cut(backbone) or Cut("mlp", -1)
    counted = count_trained(step.log, shapes(backbone), Trained(backbone.layers - (cut.layer or 0) % backbone.layers))
    assert counted.plain > counted.needed > 0


def test_a_record_that_was_seen_needs_no_trunk(backbone: ComposedBackbone, cases: Sequence[EditCase]) -> None:
    editor, store = prepared("mend", "strict", backbone, cases), HostStore(1 << 28)
    first = editor.losses(backbone, cases[0], store=store, learn=True)["total"]
    layer, passes = backbone.decoder.layers[0], []
    handle = layer.register_forward_hook(lambda *_: passes.append(1))
    again = editor.losses(backbone, cases[0], store=store, learn=True)["total"]
    handle.remove()
    assert passes == []
    assert torch.equal(first, again)


def test_a_loss_that_is_no_number_is_told_in_one_line(backbone: ComposedBackbone, cases: Sequence[EditCase]) -> None:
    editor = prepared("mend", "strict", backbone, cases)
    with torch.no_grad():
        editor.networks().steps.fill_(torch.inf)
    told = rf"^mend on {backbone.name}: the loss of record {cases[0].id} is no finite number; take"
    with pytest.raises(UserError, match=told):
        next(Trainer(editor, backbone, PROTOCOLS["strict"]).run(cases, 1))


def test_the_pass_of_an_edit_is_counted_as_pytorch_counts_it(
    backbone: ComposedBackbone, cases: Sequence[EditCase]
) -> None:
    editor = prepared("mend", "strict", backbone, cases)
    plain = PlainBackbone(backbone, whole_gradient=True)
    with FlopCounterMode(display=False) as counter:
        editor.factors(plain, cases[0].edits[0], store=MemoryStore(), weights={})
    found = sum(n for op, n in counter.get_flop_counts()["Global"].items() if "attention" not in str(op)) // 2
    assert [each.whole for each in plain.log] == [True]
    shape = replace(shapes(backbone), pair=0)
    assert count_trained(plain.log, shape, Trained(3)).plain == pytest.approx(found, rel=0.02)
