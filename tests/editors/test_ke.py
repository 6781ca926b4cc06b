"""KE's edits: the published formula on the model's gradient, and what its two protocols read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ke_kit import LONG, TINY, load, prepared, same, shipped
from torch import Tensor

from grid import first_quick
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import dense
from mmke.benchmarks.open import open_benchmark
from mmke.editors.ke.edit import make
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import VISION, Batch, LowRankUpdate, TrainableEditor
from mmke.running.fingerprint import fingerprint
from mmke.types import (
    PAPER,
    STRICT,
    Ask,
    Edit,
    EditCase,
    Switches,
)

ENCODE = ComposedBackbone.encode


@pytest.fixture(params=first_quick(TINY))
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return load(request.param)


@pytest.fixture
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-entity", data=small_data).load("train", hop=0, switches=STRICT).cases


def test_every_matrix_of_the_last_three_layers_changes_in_its_own_shape(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    changed = prepared(backbone).change(backbone, cases[0].edits[0], store=MemoryStore(), before={})
    assert len(changed.updates) == len(changed.sizes) == 6
    assert {name.split(".layers.")[1][0] for name in changed.updates} == {"1", "2", "3"}
    for name, weight in changed.updates.items():
        own = backbone.module.get_parameter(name)
        assert dense(own, weight).shape == own.shape
        assert not torch.equal(dense(own, weight), own)


def test_an_edit_is_the_published_formula_on_the_gradient_of_the_whole_model(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, edit = prepared(backbone), cases[0].edits[0]
    changed = editor.change(backbone, edit, store=MemoryStore(), before={})
    ids = torch.tensor(editor.condition(backbone, edit))
    vectors = editor.trained().learner(ids, backbone.decoder.embed.weight)
    for name, gradient in whole_gradients(backbone, edit, list(changed.updates)).items():
        out, into = gradient.shape
        column_a, row_a, column_b, row_b, gate = vectors[name].split([into, out, into, out, 1])
        a, b = (row.softmax(-1)[:, None] @ column[None] for row, column in ((row_a, column_a), (row_b, column_b)))
        own = backbone.module.get_parameter(name)
        expected = own + gate.sigmoid() * (gradient * a + b)
        torch.testing.assert_close(dense(own, changed.updates[name]), expected, rtol=1e-5, atol=1e-6)


def whole_gradients(backbone: ComposedBackbone, edit: Edit, names: list[str]) -> dict[str, Tensor]:
    """Return the gradients that the whole model gives, and leave it without any."""
    batch = backbone.encode([edit.query], [edit.target], Ask())
    parameters = [backbone.module.get_parameter(name).requires_grad_() for name in names]
    logits = backbone.tail(backbone.trunk(batch, VISION, store=MemoryStore()), {})
    target = torch.tensor(batch.encoded[0].target_ids)
    loss = -logits.log_softmax(-1).gather(1, target[:, None]).mean()
    gradients = torch.autograd.grad(loss, parameters)
    for parameter in parameters:
        parameter.requires_grad_(requires_grad=False)
    return dict(zip(names, gradients, strict=True))


def test_an_edit_changes_answers_and_no_bit_of_the_backbone(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, ask, before = prepared(backbone), Ask(logprobs=True), fingerprint(backbone.module)
    unedited = backbone.answer(cases[0].probes, ask)
    with editor.open(backbone, MemoryStore()) as session:
        session.apply([])
        floor = session.answer(cases[0].probes, ask)
        session.apply(cases[0].edits)
        edited = session.answer(cases[0].probes, ask)
    for one, other, third in zip(unedited, floor, edited, strict=True):
        assert np.array_equal(one.logprobs, other.logprobs)
        assert not np.array_equal(one.logprobs, third.logprobs)
    assert fingerprint(backbone.module) == before


def test_a_second_edit_starts_from_what_the_first_has_made(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = prepared(backbone)
    both, last = [*cases[0].edits, *cases[1].edits], list(cases[1].edits)
    made = []
    for edits in (both, last):
        with editor.open(backbone, MemoryStore()) as session:
            for edit in edits:
                session.apply([edit])
            made.append(session.weights)
    assert all(not same(made[0][name], made[1][name]) for name in made[1])


def test_a_batch_adds_the_changes_that_each_edit_makes_at_the_weights_before(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, edits = prepared(backbone), [cases[0].edits[0], cases[1].edits[0]]
    with torch.no_grad():
        alone = [editor.change(backbone, edit, store=MemoryStore(), before={}).updates for edit in edits]
    with editor.open(backbone, MemoryStore()) as session:
        session.apply(edits)
    for name, weight in session.weights.items():
        own = backbone.module.get_parameter(name)
        expected = own + sum(updates[name].product() for updates in alone)
        torch.testing.assert_close(dense(own, weight), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("switches", "cut"), [(PAPER, True), (STRICT, False)], ids=["paper", "strict"])
def test_the_condition_is_cut_under_paper_alone(switches: Switches, cut: bool) -> None:  # noqa: FBT001
    backbone = load("tiny-llava")
    ids = prepared(backbone, switches).condition(backbone, LONG)
    whole = "a red disc that stands on a very long shelf >> a tin lid || what is it"
    assert backbone.text(ids) == (whole[:31] if cut else whole)
    assert ids[0] == backbone.prompt.tokenizer.bos_token_id
    assert len(ids) == (32 if cut else 1 + len(whole))


@pytest.mark.parametrize("original", [None, ""])
def test_a_record_without_a_description_has_a_condition_without_one(original: str | None) -> None:
    backbone = load("tiny-llava")
    ids = prepared(backbone).condition(backbone, replace(LONG, original=original))
    assert backbone.text(ids) == " >> a tin lid || what is it"


def test_the_text_behind_the_cut_does_not_count_under_paper(cases: tuple[EditCase, ...]) -> None:
    backbone, other = load("tiny-llava"), replace(LONG, original=f"{LONG.original} indeed")
    for switches, alike in ((PAPER, True), (STRICT, False)):
        editor = prepared(backbone, switches)
        one, two = (editor.change(backbone, edit, store=MemoryStore(), before={}) for edit in (LONG, other))
        assert all(same(one.updates[name], two.updates[name]) == alike for name in one.updates)


def test_a_picture_is_read_behind_the_beginning_under_paper_where_the_prompt_has_none(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = {}
    for switches in (STRICT, PAPER):
        seen = spied(backbone, monkeypatch)
        recall = [probe for probe in cases[0].probes if probe.kind.name == "recall"]
        with prepared(backbone, switches).open(backbone, MemoryStore()) as session:
            session.apply(cases[0].edits)
            session.answer(recall, Ask())
        assert len(seen) == 2
        began[switches.protocol] = {batch.encoded[0].input_ids[0] for batch in seen}
    bos = backbone.prompt.tokenizer.bos_token_id
    assert began["paper"] == ({bos} if backbone.name == "tiny-minigpt4" else began["strict"])
    assert (began["strict"] == {bos}) == (backbone.name == "tiny-llava")


def spied(backbone: ComposedBackbone, monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """Return a list into which every batch goes that the backbone encodes from now on."""
    seen: list[Batch] = []

    def encode(*args: object) -> Batch:
        seen.append(ENCODE(*args))
        return seen[-1]

    monkeypatch.setattr(ComposedBackbone, "encode", encode)
    return seen


def test_an_untrained_editor_says_so(backbone: ComposedBackbone) -> None:
    editor = make(shipped(backbone.name), STRICT, train=(), seed=0)
    assert isinstance(editor, TrainableEditor)
    with pytest.raises(NeedsTrainingError, match="mmke train ke"), editor.open(backbone, MemoryStore()):
        pass


@pytest.mark.parametrize("name", TINY)
def test_it_edits_and_trains_in_half_precision(name: str, cases: tuple[EditCase, ...]) -> None:
    backbone = load(name, torch.bfloat16)
    editor, before = prepared(backbone), fingerprint(backbone.module)
    changed = editor.change(backbone, cases[0].edits[0], store=MemoryStore(), before={})
    added = [each for each in changed.updates.values() if isinstance(each, LowRankUpdate)]
    assert [each.outputs.dtype for each in added] == [torch.float32] * 6
    editor.losses(backbone, cases[0], store=MemoryStore(), learn=True)["total"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in editor.trained().parameters())
    assert fingerprint(backbone.module) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"lstm": 0, "learning_rate": float("nan")},
            "lstm = 0; it counts from 1 up; learning_rate = nan; it is a finite number above 0",
        ),
        ({"sites": ["alignment"]}, "sites name 'alignment'"),
        ({"embedding": "frozen"}, "embedding = 'frozen' is no"),
        (
            {"margin_factor": 1.5, "warm_up": -1},
            "warm_up = -1; it counts from 0 up; margin_factor = 1.5; it is a share",
        ),
        ({"steps": -1}, "steps = -1; it counts from 0 up"),
    ],
)
def test_wrong_settings_are_told_at_once(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as caught:
        make({**shipped("tiny-llava"), **changes}, STRICT, train=(), seed=0)
    assert told in str(caught.value)
