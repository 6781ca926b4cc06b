"""SERAC's training: what its loss is made of, what it teaches, and what cannot be trained."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from serac_kit import ASK, answers, editor, learn

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.tiny import LAYERS
from mmke.editing.settings import resolve
from mmke.editors.serac.edit import make
from mmke.errors import UserError
from mmke.types import PAPER, STRICT, EditCase, Probe, ProbeKind, Query, Role, Switches


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
def test_training_lowers_the_loss(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], switches: Switches, rank: int
) -> None:
    made = editor(backbone, encoder, train, switches, rank=rank)
    totals = learn(made, backbone, train[:2], 12)
    assert totals[-1] < totals[0]


def test_training_teaches_an_edit(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    made = editor(llava, encoder, train)
    learn(made, llava, train[:1], 40)
    recall = [probe for probe in train[0].probes if probe.kind.name in ("rephrase", "image_rephrase")]
    edited = answers(made, llava, train[0].edits, recall, ASK)
    assert [each.token_ids for each in edited] == [each.target_ids for each in edited]
    assert [each.token_ids for each in llava.answer(recall, ASK)] != [each.target_ids for each in edited]


def test_training_tells_what_is_in_scope(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    made = editor(llava, encoder, train)
    learn(made, llava, train[:1], 60)
    figures = made.losses(llava, train[0], store=MemoryStore(), learn=False)
    assert (float(figures["inside"]), float(figures["outside"])) == (1.0, 1.0)


def test_under_paper_nothing_is_learned_about_pictures_locality_or_scope(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train, PAPER)
    parts = {
        name: float(value.detach())
        for name, value in made.losses(llava, train[0], store=MemoryStore(), learn=True).items()
    }
    assert parts.keys() == {"total", "edit", "image_edit", "text"}
    assert parts["total"] == pytest.approx(0.1 * parts["edit"] + 0.1 * parts["image_edit"] + parts["text"], rel=1e-5)


def test_gradients_reach_all_that_is_trained(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train, encoder_trained=True, head=0)
    made.losses(backbone, train[0], store=MemoryStore(), learn=True)["total"].backward()
    assert [name for name, each in made.networks().named_parameters() if each.grad is None] == []


@pytest.mark.parametrize("role", ["hard locality", "locality", "relation"])
def test_a_kind_that_another_benchmark_adds_is_trained_on_by_its_role_alone(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], role: Role
) -> None:
    added = Probe(ProbeKind("near", "Near", role), Query("Which river is a near miss?"), "none")
    made = editor(llava, encoder, train)
    totals = [
        float(made.losses(llava, case, store=MemoryStore(), learn=False)["total"].detach())
        for case in (train[0], replace(train[0], probes=(*train[0].probes, added)))
    ]
    assert (totals[0] == totals[1]) == (role == "hard locality")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"learning_rate": 0.0, "rank": -1}, "rank = -1.*rate = 0.0"),
        ({"head": 0, "encoder_trained": False}, "leave nothing"),
        ({"pooling": "last"}, "pooling = 'last'"),
    ],
)
def test_mistakes_are_told_before_weights_are_read(encoder: str, changes: dict[str, Any], told: str) -> None:
    values = resolve("serac", "tiny-llava", {"encoder": encoder, **changes})
    with pytest.raises(UserError, match=told):
        make(values, STRICT, train=(), seed=0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoder": "no/such-encoder"}, "there is no 'no/such-encoder'"),
        ({"counterfactual": "no/such-model"}, "there is no counterfactual model 'no/such-model'"),
    ],
)
def test_a_model_that_is_not_there_is_told_on_a_skeleton(encoder: str, changes: dict[str, Any], told: str) -> None:
    made = make(resolve("serac", "tiny-llava", {"encoder": encoder, **changes}), STRICT, train=(), seed=0)
    skeleton = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu"), skeleton=True
    )
    with pytest.raises(UserError, match=told):
        made.check(skeleton)


def test_more_layers_than_there_are_is_told(llava: ComposedBackbone, encoder: str) -> None:
    made = make(resolve("serac", "tiny-llava", {"encoder": encoder, "layers": LAYERS + 1}), STRICT, train=(), seed=0)
    with pytest.raises(UserError, match="decoder layers"):
        made.check(llava)


def test_without_networks_it_asks_to_be_trained(llava: ComposedBackbone, encoder: str) -> None:
    made = make(resolve("serac", "tiny-llava", {"encoder": encoder}), STRICT, train=(), seed=0)
    with pytest.raises(UserError, match="mmke train serac"), made.open(llava, MemoryStore()):
        pass
