"""MEND's training: its loss, its statistics, its one optimizer; and the losses that editors share."""

import math
from pathlib import Path

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.factors import Factors
from mmke.editing.losses import answer_loss, locality_divergence
from mmke.editing.settings import resolve
from mmke.editors.mend.edit import Mend
from mmke.editors.mend.network import LowRankLayer, Network, informative
from mmke.types import PAPER, STRICT, EditCase, Switches

BOTH = pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])


@pytest.fixture(scope="module")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases


def prepared(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], switches: Switches = STRICT, **changes: object
) -> Mend:
    made = registry.factory("editors", "mend")(
        resolve("mend", "tiny-llava", changes, protocol=switches.protocol), switches, train=cases, seed=0
    )
    made.prepare(backbone, cases, store=MemoryStore())
    return made


def statistics(editor: Mend) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in editor.networks().named_buffers()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_divergence_has_the_published_value_and_direction() -> None:
    before, after = torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    assert float(locality_divergence(before, after)) == pytest.approx(0.0719205, abs=1e-6)
    assert float(locality_divergence(after, before)) == pytest.approx(0.0654059, abs=1e-6)


def test_the_likelihood_has_the_published_value() -> None:
    logits = 4.0 * torch.nn.functional.one_hot(torch.tensor([2, 4, 3]), 5)
    assert float(-answer_loss(logits, torch.tensor([2, 3, 3]))) == pytest.approx(-1.4040364, abs=1e-6)


def test_a_row_without_gradient_is_left_out() -> None:
    rows = Factors(torch.tensor([[1.0, 2], [3, 6], [5, 5]]), torch.tensor([[1.0], [3], [0]]))
    kept = informative({"w": rows})["w"]
    assert (kept.inputs.tolist(), kept.gradients.tolist()) == ([[1, 2], [3, 6]], [[1], [3]])


def test_both_sides_are_normalised_by_their_own_statistics_of_counted_rows() -> None:
    network = Network(2, 1, rank=2, modes=1)
    rows = Factors(torch.tensor([[1.0, 2], [3, 6], [0, 0]]), torch.tensor([[1.0], [3], [5]]))
    network.observe(informative({"w": rows})["w"])
    assert (network.inputs.count.tolist(), network.gradients.mean.tolist()) == ([2.0], [2.0])
    normalised = network.gradients(torch.tensor([[1.0], [3.0]]))
    torch.testing.assert_close(normalised, torch.tensor([[-0.7071], [0.7071]]), atol=1e-4, rtol=0)


def test_a_fresh_layer_is_drawn_as_published() -> None:
    torch.manual_seed(0)
    layer = LowRankLayer(400, 100, 3)
    assert not any(part.any() for part in (layer.u, layer.bias, layer.shift))
    assert bool((layer.scale == 1).all())
    drawn = layer.v.detach()
    assert (float(drawn.mean()), float(drawn.std())) == pytest.approx((0.0, 1.0), abs=0.02)


def test_the_published_rank_is_cut_to_the_joined_width(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    editor = prepared(backbone, cases)
    assert editor.settings.rank == 1920
    assert {tuple(layer.u.shape) for net in editor.networks().mend.values() for layer in net.layers} == {(96, 96)}
    assert editor.networks().steps.tolist() == pytest.approx([1e-4] * 6)


def test_one_step_of_the_optimizer_moves_every_step_size_by_the_networks_rate(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = prepared(backbone, cases)
    optimizer, schedule = editor.optimizer()
    before = editor.networks().steps.detach().clone()
    editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)["total"].backward()
    optimizer.step()
    moved = (editor.networks().steps.detach() - before).abs()
    torch.testing.assert_close(moved, torch.full((6,), 1e-6), rtol=1e-3, atol=0)
    assert schedule is None


@BOTH
def test_the_loss_is_weighed_as_published(
    switches: Switches, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    found = prepared(backbone, cases, switches).losses(backbone, cases[0], store=MemoryStore(), learn=True)
    parts = {name: float(value.detach()) for name, value in found.items()}
    assert parts.keys() == {"total", "edit", "image_edit", "text", "image"}
    expected = 0.1 * parts["edit"] + 0.1 * parts["image_edit"] + 1.0 * (parts["text"] + parts["image"])
    assert parts["total"] == pytest.approx(expected, rel=1e-6)


@BOTH
def test_validation_moves_no_statistics(
    switches: Switches, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = prepared(backbone, cases, switches)
    editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)
    before = statistics(editor)
    editor.losses(backbone, cases[1], store=MemoryStore(), learn=False)
    assert same(statistics(editor), before)


@BOTH
def test_a_step_of_training_moves_them_under_paper_alone(
    switches: Switches, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = prepared(backbone, cases, switches)
    before = statistics(editor)
    editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)
    assert same(statistics(editor), before) == (switches is STRICT)


def test_under_strict_they_are_those_of_all_training_records(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, store = prepared(backbone, cases), MemoryStore()
    name, (shape, _) = next(iter(editor.networks().places.items()))
    of_shape = [other for other, (its, _) in editor.networks().places.items() if its == shape]
    found = [editor.factors(backbone, case.edits[0], store=store, weights={}) for case in cases]
    rows = torch.cat([informative(each)[other].inputs for each in found for other in of_shape])
    seen = editor.networks().mend[shape].inputs
    assert name in of_shape
    assert seen.count.tolist() == [len(rows)]
    torch.testing.assert_close(seen.mean, rows.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(seen.deviation, rows.std(0), rtol=1e-4, atol=1e-6)
