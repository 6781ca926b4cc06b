"""KE's training: the constraint climbs, the margin falls, the loss is what is differentiated."""

from pathlib import Path

import pytest
import torch
from ke_kit import TINY, load, prepared, trained

from grid import first_quick
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editors.ke.settings import schedule
from mmke.running.fingerprint import fingerprint
from mmke.types import STRICT, EditCase


@pytest.fixture(params=first_quick(TINY))
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return load(request.param)


@pytest.fixture
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-entity", data=small_data).load("train", hop=0, switches=STRICT).cases


@pytest.mark.parametrize(("lp", "grows"), [(0.5, True), (1e-4, False)])
def test_the_multiplier_grows_while_changes_are_beyond_the_margin(lp: float, grows: bool) -> None:  # noqa: FBT001
    bound = prepared(load("tiny-llava")).trained()
    large = torch.tensor(lp, requires_grad=True)
    penalty = bound.penalty(large)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(lp - 1e-3)
    assert float(large.grad) == 1.0
    torch.optim.SGD([bound.alpha_lp], lr=1.0).step()
    assert (bound.alpha_lp.item() > 1.0) == grows


def test_a_multiplier_below_zero_comes_back_to_it() -> None:
    editor = prepared(load("tiny-llava"))
    for value, kept in ((-0.25, 0.0), (0.25, 0.25)):
        editor.trained().alpha_lp.data.fill_(value)
        editor.after_step()
        assert editor.trained().alpha_lp.item() == kept


@pytest.mark.parametrize(
    ("right", "margin", "expected"), [(91.0, 1e-3, 8e-4), (90.0, 1e-3, 1e-3), (100.0, 1.1e-7, 1e-7)]
)
def test_the_margin_falls_after_a_good_validation_to_its_least(right: float, margin: float, expected: float) -> None:
    editor = prepared(load("tiny-llava"), margin=margin)
    editor.after_validation({"right": right / 7, "tokens": 100.0 / 7})
    assert float(editor.trained().margin_lp) == pytest.approx(expected)


def test_the_rates_rise_and_fall() -> None:
    factor = schedule(prepared(load("tiny-llava")).settings)
    assert [factor(taken) for taken in (0, 500, 1000, 10500, 20000, 20001)] == [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]


def test_the_multiplier_has_its_own_rate() -> None:
    optimizer, falling = prepared(load("tiny-llava"), warm_up=0).optimizer()
    assert [group["lr"] for group in optimizer.param_groups] == [3e-4, 0.1]
    assert [len(group["params"]) > 1 for group in optimizer.param_groups] == [True, False]
    assert all(group["centered"] for group in optimizer.param_groups)
    assert falling.get_last_lr() == [3e-4, 0.1]


def test_training_makes_edits_likelier_and_leaves_the_backbone_alone(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    before = fingerprint(backbone.module)
    editor = prepared(backbone, warm_up=0, learning_rate=1e-2, multiplier_learning_rate=1e-4, steps=1000)
    heard = trained(editor, backbone, cases, 24)
    assert all(last < first - 0.1 for first, last in zip(heard[:4], heard[-4:], strict=True))
    assert fingerprint(backbone.module) == before
    assert all(not parameter.requires_grad for parameter in backbone.module.parameters())


def test_a_losss_gradient_is_that_of_changes_that_are_kept(cases: tuple[EditCase, ...]) -> None:
    backbone = load("tiny-llava")
    editor = prepared(backbone)
    editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)["total"].backward()
    parameter = next(p for name, p in editor.trained().named_parameters() if name.endswith("2.bias"))
    slope, totals = float(parameter.grad.norm()), []
    nudge = 1e-2 * parameter.grad / slope
    for sign in (1, -1):
        parameter.data += sign * nudge
        totals.append(float(editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)["total"].detach()))
        parameter.data -= sign * nudge
    assert (totals[0] - totals[1]) / 2e-2 == pytest.approx(slope, rel=0.02)


def test_a_loss_is_told_in_parts(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    editor = prepared(backbone)
    editor.trained().alpha_lp.data.fill_(2.0)
    told = {
        learn: {
            name: float(part.detach())
            for name, part in editor.losses(backbone, cases[0], store=MemoryStore(), learn=learn).items()
        }
        for learn in (True, False)
    }
    parts = told[True]
    assert parts["total"] == pytest.approx(parts["nll"] + 2.0 * (parts["lp"] - 1e-3), rel=1e-5)
    assert parts["accuracy"] == pytest.approx(parts["right"] / parts["tokens"])
    assert told[False] == parts


def test_a_validation_is_judged_by_the_share_of_all_tokens_that_are_wrong() -> None:
    editor = prepared(load("tiny-llava"))
    # Of two records, one with 1 of 2 tokens right and one with 8 of 8: means over the records.
    figures = {"right": 4.5, "tokens": 5.0, "accuracy": 0.75, "total": 3.0}
    assert editor.after_validation(figures) == pytest.approx(0.1)


def test_the_size_of_an_edit_is_the_mean_of_its_matrices_sizes(cases: tuple[EditCase, ...]) -> None:
    backbone = load("tiny-llava")
    editor = prepared(backbone)
    told = editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)["lp"]
    with editor.open(backbone, MemoryStore()) as session:
        session.apply(cases[0].edits[:1])
        with session.module() as module:
            edited = {name: module.get_parameter(name).detach().clone() for name in session.weights}
    sizes = [(weight - backbone.module.get_parameter(name)).square().mean().sqrt() for name, weight in edited.items()]
    assert float(told.detach()) == pytest.approx(float(torch.stack(sizes).mean()), rel=1e-4)
