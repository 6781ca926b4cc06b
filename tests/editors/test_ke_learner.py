"""KE's networks: the published change by its oracles, names, widths, what is trained and saved."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ke_kit import TINY, load, prepared, same, shipped, trained

from grid import first_quick
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.factors import Factors
from mmke.editors.ke.edit import make
from mmke.editors.ke.learner import NormedLinear, shift, size
from mmke.errors import UserError
from mmke.types import STRICT, EditCase

GRADIENT = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
FACTORS = Factors(torch.eye(3), GRADIENT.T)
"""Of the gradient. With its vectors: column A (3), row A (2), column B (3), row B (2), the gate."""
VECTORS = torch.tensor([1.0, 0.0, -1.0, 0.0, float(np.log(3)), 2.0, 2.0, 0.0, 0.0, 0.0, 0.0])


@pytest.fixture(params=first_quick(TINY))
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return load(request.param)


@pytest.fixture
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-entity", data=small_data).load("train", hop=0, switches=STRICT).cases


def test_a_change_is_the_published_one() -> None:
    expected = torch.tensor([[0.625, 0.5, -0.375], [2.0, 0.5, -2.25]])
    torch.testing.assert_close(shift(FACTORS, VECTORS, max_scale=1.0).product(), expected)
    torch.testing.assert_close(shift(FACTORS, VECTORS, max_scale=2.0).product(), 2 * expected)


def test_the_size_of_a_change_is_the_published_one() -> None:
    assert float(size(shift(FACTORS, VECTORS, max_scale=1.0))) == pytest.approx(1.2970319, abs=1e-6)


def test_an_open_gate_doubles_what_one_half_open_lets_through() -> None:
    opened = VECTORS.clone()
    opened[-1] = 100.0
    torch.testing.assert_close(
        shift(FACTORS, opened, max_scale=1.0).product(),
        2 * shift(FACTORS, VECTORS, max_scale=1.0).product(),
        rtol=1e-6,
        atol=1e-6,
    )


def test_a_normed_linear_layer_begins_as_an_ordinary_one_and_its_directions_have_no_length() -> None:
    layer, x = NormedLinear(5, 3), torch.randn(5)
    torch.testing.assert_close(layer(x), layer.weight_v @ x + layer.bias)
    before = layer(x)
    layer.weight_v.data *= 7
    torch.testing.assert_close(layer(x), before)


def test_parameters_are_called_as_in_the_published_checkpoints() -> None:
    names = set(prepared(load("tiny-llava")).trained().state_dict())
    where = "learner.conditioners.layers_3_mlp_down_proj_weight_conditioner.conditioners"
    assert {f"{where}.{layer}.{kind}" for layer in (0, 2) for kind in ("weight_g", "weight_v", "bias")} <= names
    assert {"alpha_lp", "margin_lp", "learner.condition.embedding.weight", "learner.condition.linear.bias"} <= names
    assert {"learner.condition.lstm.weight_ih_l0", "learner.condition.lstm.weight_hh_l0_reverse"} <= names


def test_the_published_widths_are_those_of_the_settings(backbone: ComposedBackbone) -> None:
    editor = make(shipped(backbone.name), STRICT, train=(), seed=0)
    editor.prepare(backbone, (), store=MemoryStore())
    learner = editor.trained().learner
    assert (learner.condition.lstm.hidden_size, learner.condition.linear.out_features) == (128, 1024)
    first, last = (conditioner.conditioners for conditioner in list(learner.conditioners.values())[0::5])
    assert first[0].weight_v.shape == last[0].weight_v.shape == (128, 1024)
    assert first[2].weight_v.shape == last[2].weight_v.shape == (2 * (32 + 64) + 1, 128)


def test_the_row_for_padding_is_read_and_never_trained() -> None:
    editor = prepared(load("tiny-llava"))
    embedding = editor.trained().learner.condition.embedding
    made = editor.trained().learner(torch.tensor([0, 5]), torch.zeros(260, 32))
    torch.stack([vectors.sum() for vectors in made.values()]).sum().backward()
    assert embedding.weight[0].abs().sum() > 0
    assert embedding.weight.grad[0].abs().sum() == 0
    assert embedding.weight.grad[5].abs().sum() > 0


def test_a_frozen_table_is_read_and_not_saved(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    editor = prepared(backbone, embedding="backbone")
    assert not any("embedding" in name for name in editor.trained().state_dict())
    own = prepared(backbone)
    own.trained().learner.load_state_dict(editor.trained().learner.state_dict(), strict=False)
    # Before it is trained, the copy reads as the table does.
    made = [each.change(backbone, cases[0].edits[0], store=MemoryStore(), before={}).updates for each in (editor, own)]
    assert all(same(made[0][name], made[1][name]) for name in made[0])
    trained(editor, backbone, cases, 2)
    assert backbone.decoder.embed.weight.grad is None


def test_saved_tensors_come_back(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    one, other = prepared(backbone, warm_up=0), prepared(backbone)
    trained(one, backbone, cases, 2)
    one.after_validation({"right": 1.0, "tokens": 1.0})
    tensors = {name: tensor.clone() for name, tensor in one.trained().state_dict().items()}
    other.load_state_dict(backbone, tensors)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in other.trained().state_dict().items())
    assert float(other.trained().margin_lp) == pytest.approx(8e-4)
    edit = cases[0].edits[0]
    made = [each.change(backbone, edit, store=MemoryStore(), before={}).updates for each in (one, other)]
    assert all(same(made[0][name], made[1][name]) for name in made[0])


def test_tensors_of_other_settings_are_refused() -> None:
    backbone = load("tiny-llava")
    tensors = prepared(backbone, lstm=4).trained().state_dict()
    with pytest.raises(UserError, match=r"ke: the checkpoint does not fit tiny-llava .* is \[16, 8\] there and"):
        prepared(backbone).load_state_dict(backbone, tensors)


def test_fresh_networks_are_the_seeds(cases: tuple[EditCase, ...]) -> None:
    backbone = load("tiny-llava")
    one, other = (prepared(backbone).trained().state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_published_checkpoint_comes_in(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    one, other = prepared(backbone), prepared(backbone)
    trained(one, backbone, cases, 2)
    own = one.trained().state_dict()
    wrapped = {"lstm.": "lstm._module.", "linear.": "linear._linear_layers.0.", "layers_": "llama_model_model_layers_"}
    published = {}
    for name, tensor in own.items():
        theirs = name
        for ours, there in wrapped.items():
            theirs = theirs.replace(ours, there)
        published[theirs] = tensor
    assert published.keys() != own.keys()
    other.load_state_dict(backbone, other.translate(published))
    assert all(torch.equal(tensor, own[name]) for name, tensor in other.trained().state_dict().items())


@pytest.mark.parametrize(
    "name", ["edit_lrs", "learner.conditioners.layers_3_fc1_weight_conditioner.conditioners.1.bias"]
)
def test_a_checkpoint_of_another_editor_does_not_come_in(name: str) -> None:
    with pytest.raises(UserError, match="is no tensor of KE's"):
        prepared(load("tiny-llava")).translate({name: torch.zeros(1)})


def test_two_tensors_of_one_name_do_not_come_in() -> None:
    bias = torch.zeros(1)
    with pytest.raises(UserError, match=r"is a second 'learner.condition\.linear\.bias'"):
        prepared(load("tiny-llava")).translate(
            {"learner.condition.linear.bias": bias, "learner.condition.linear.0.bias": bias}
        )
