"""MEND's arithmetic: the oracles were produced by the published functions themselves, on toy inputs."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.factors import Factors, factors, share
from mmke.editing.settings import resolve
from mmke.editors.mend.network import LowRankLayer, Network, Networks, Statistics, informative
from mmke.errors import NeedsTrainingError, UserError
from mmke.types import STRICT, Ask, EditCase


def two_modes() -> LowRankLayer:
    layer = LowRankLayer(2, 2, 2)
    with torch.no_grad():
        layer.u.copy_(torch.eye(2))
        layer.v.copy_(torch.eye(2))
        layer.bias.fill_(0.5)
        layer.scale[1] = 2.0
        layer.shift[1] = torch.tensor([0.0, 3.0])
    return layer


@pytest.mark.parametrize(("mode", "expected"), [(0, [2.5, -2.0]), (1, [4.0, -2.0])])
def test_a_layer_clamps_what_it_adds_and_tells_modes_apart(mode: int, expected: list[float]) -> None:
    torch.testing.assert_close(two_modes()(torch.tensor([[1.0, -2.0]]), mode), torch.tensor([expected]))


def test_a_fresh_layer_is_the_identity() -> None:
    rows = torch.randn(3, 5)
    assert torch.equal(LowRankLayer(5, 2, 1)(rows, 0), rows)


ROWS = Factors(torch.tensor([[1.0, 2], [3, 6], [0, 0]]), torch.tensor([[1.0], [3], [5]]))


def observed() -> Network:
    network = Network(2, 1, rank=2, modes=1)
    network.observe(counted(ROWS))
    return network


def counted(rows: Factors) -> Factors:
    return informative({"w": rows})["w"]


def test_a_row_without_input_is_left_out() -> None:
    assert [len(counted(ROWS).inputs), len(counted(ROWS).gradients)] == [2, 2]


def test_rows_are_left_out_of_each_matrix_by_itself() -> None:
    full = Factors(torch.ones(2, 2), torch.ones(2, 1))
    found = informative({"some": ROWS, "all": full})
    assert found["all"] is full
    assert found["some"].inputs.tolist() == [[1, 2], [3, 6]]


def test_statistics_are_mean_and_sample_deviation_of_informative_rows() -> None:
    network = observed()
    torch.testing.assert_close(network.inputs.mean, torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(network.inputs.deviation, torch.tensor([1.4142135, 2.8284271]))
    torch.testing.assert_close(network.gradients.deviation, torch.tensor([1.4142135]))
    torch.testing.assert_close(network.inputs(ROWS.inputs[:1]), torch.tensor([[-0.7071, -0.7071]]), atol=1e-4, rtol=0)


def test_later_rows_are_held_against_what_was_seen() -> None:
    network = observed()
    torch.testing.assert_close(network.inputs(torch.tensor([[5.0, 10]])), torch.full((1, 2), 2.1213), atol=1e-4, rtol=0)
    torch.testing.assert_close(network.gradients(torch.tensor([[7.0]])), torch.tensor([[3.5355]]), atol=1e-4, rtol=0)


def test_rows_one_by_one_and_all_at_once_give_the_same_statistics() -> None:
    rows, whole, parts = torch.randn(9, 4), Statistics(4), Statistics(4)
    whole.observe(rows)
    parts.observe(rows[:2])
    for row in rows[2:]:
        parts.observe(row[None])
    torch.testing.assert_close(parts.deviation, whole.deviation)
    torch.testing.assert_close(parts.mean, whole.mean)


def test_a_single_row_is_refused_before_any_statistics_change() -> None:
    statistics = Statistics(3)
    with pytest.raises(UserError, match="gave a single row"):
        statistics.observe(torch.ones(1, 3))
    assert not any(buffer.any() for buffer in statistics.buffers())
    matrices = {"wide": torch.zeros(1, 2), "high": torch.zeros(2, 1)}
    networks = Networks(matrices, rank=1, layers=1, step=1.0)
    found = {
        "wide": Factors(torch.ones(2, 2), torch.ones(2, 1)),
        "high": Factors(torch.ones(1, 1), torch.ones(1, 2)),
    }
    for take in (networks.observe, lambda rows: networks(rows, observe=True)):
        with pytest.raises(UserError, match="gave a single row"):
            take(found)
    assert not any(buffer.any() for buffer in networks.buffers())


def test_what_never_varied_stays_zero_where_statistics_stand() -> None:
    seen, later = torch.tensor([[0.0, 1.0], [0.0, 3.0]]), torch.tensor([[0.05, 5.0]])
    found = {}
    for first_pass in (True, False):
        statistics = Statistics(2, first_pass=first_pass)
        statistics.observe(seen)
        found[first_pass] = statistics(later)[0]
    assert found[True].tolist() == [0.0, pytest.approx(3 / 2**0.5, abs=1e-5)]
    assert found[False].tolist() == [pytest.approx(0.05 / 1e-7), found[True][1]]


@pytest.mark.parametrize("constant", [0.0, 0.3, -12.7, 1e5])
def test_what_varied_by_rounding_alone_stays_zero_too(constant: float) -> None:
    statistics = Statistics(2, first_pass=True)
    for number in range(2, 12):
        statistics.observe(torch.cat([torch.full((number, 1), constant), torch.randn(number, 1)], dim=1))
    left_out, counted = statistics(torch.tensor([[constant * 1.01 + 0.01, 5.0]]))[0].tolist()
    assert left_out == 0.0 < counted < 50


def test_statistics_that_are_no_numbers_do_not_pass_for_zero() -> None:
    statistics = Statistics(2, first_pass=True)
    statistics.observe(torch.tensor([[1.0, torch.inf], [2.0, 1.0]]))
    assert statistics(torch.ones(1, 2))[0].isnan().tolist() == [False, True]


def test_no_rows_change_no_statistics() -> None:
    statistics = Statistics(2)
    statistics.observe(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    before = {name: tensor.clone() for name, tensor in statistics.named_buffers()}
    statistics.observe(torch.zeros(0, 2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in statistics.named_buffers())


def test_a_fresh_network_moves_along_the_sum_of_normalised_factors() -> None:
    linear = nn.Linear(2, 1, bias=False)
    networks = Networks({"w": linear.weight}, rank=2, layers=2, step=1e-4)
    before = linear.weight.detach().clone()
    move = networks({"w": ROWS}, observe=True)["w"]
    network = networks.mend["(2, 1)"]
    rows = counted(ROWS)
    expected = 1e-4 * network.gradients(rows.gradients).T @ network.inputs(rows.inputs)
    torch.testing.assert_close(move.product(), expected)
    assert torch.equal(linear.weight, before)


def test_matrices_of_one_shape_share_a_network_and_its_statistics_in_order() -> None:
    one, other = (Factors(torch.randn(4, 2), torch.randn(4, 1)) for _ in range(2))
    networks = Networks({"a": torch.zeros(1, 2), "b": torch.zeros(1, 2)}, rank=2, layers=2, step=1.0)
    assert list(networks.mend) == ["(2, 1)"]
    moves = networks({"a": one, "b": other}, observe=True)
    alone = Network(2, 1, rank=2, modes=2)
    alone.observe(one)
    torch.testing.assert_close(moves["a"].product(), alone(one, 0).product())
    alone.observe(other)
    torch.testing.assert_close(moves["b"].product(), alone(other, 1).product())


@pytest.fixture(scope="module")
def case(small_data: Path) -> EditCase:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases[0]


def test_factors_multiply_to_the_gradient_of_the_matrix(backbone: ComposedBackbone, case: EditCase) -> None:
    editor = registry.factory("editors", "mend")(resolve("mend", "tiny-llava", {}), STRICT, train=(), seed=0)
    edit = case.edits[0]
    batch = backbone.encode([edit.query], [edit.target], Ask())
    trunk = backbone.trunk(batch, editor.cut(backbone), store=MemoryStore())
    target = torch.tensor(batch.encoded[0].target_ids)
    names = [f"{backbone.site('language', layer, slot)}.weight" for layer in (-3, -1) for slot in ("mlp_in", "mlp_out")]
    leaves = {name: backbone.module.get_parameter(name).clone().requires_grad_() for name in names}
    loss = nn.functional.cross_entropy(backbone.tail(trunk, leaves).float(), target)
    expected = dict(zip(names, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    found = factors(backbone, trunk, names, target, {})
    for name in names:
        torch.testing.assert_close(found[name].gradient(), expected[name])


def test_the_shares_of_a_batch_add_up_to_the_mean_of_the_gradients() -> None:
    found = [{"w": Factors(torch.randn(rows, 3), torch.randn(rows, 2))} for rows in (4, 2)]
    mean = (found[0]["w"].gradient() + found[1]["w"].gradient()) / 2
    torch.testing.assert_close(sum(share(each, 2)["w"].gradient() for each in found), mean)
    assert torch.equal(share(found[0], 1)["w"].gradients, found[0]["w"].gradients)


def test_an_untrained_editor_says_how_to_train_it(backbone: ComposedBackbone) -> None:
    editor = registry.factory("editors", "mend")(resolve("mend", "tiny-llava", {}), STRICT, train=(), seed=0)
    with pytest.raises(NeedsTrainingError, match="mmke train mend"), editor.open(backbone, MemoryStore()):
        pass
