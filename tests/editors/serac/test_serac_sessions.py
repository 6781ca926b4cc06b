"""SERAC's sessions: who answers, under either protocol, and that nothing is written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from serac_kit import ASK, AllNear, answers, editor, learn, load, same

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editors.serac.counterfactual import behind
from mmke.editors.serac.mixture import soft
from mmke.errors import UserError
from mmke.protocols import TrainableEditor
from mmke.running.fingerprint import fingerprint
from mmke.types import PAPER, STRICT, Ask, EditCase, Switches


def test_it_keeps_the_protocol(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    assert isinstance(editor(llava, encoder, train), TrainableEditor)


@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
def test_without_an_edit_it_answers_as_the_base(
    backbone: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    cases: tuple[EditCase, ...],
    switches: Switches,
) -> None:
    made = editor(backbone, encoder, train, switches)
    ask = replace(ASK, positions=switches.locality_positions, labels=switches.labels)
    assert same(answers(made, backbone, [], cases[0].probes, ask), backbone.answer(cases[0].probes, ask))


@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
def test_an_edit_changes_answers_and_never_the_backbone(
    backbone: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    cases: tuple[EditCase, ...],
    switches: Switches,
) -> None:
    before = fingerprint(backbone.module)
    made = editor(backbone, encoder, train, switches)
    learn(made, backbone, train[:2], 2)
    assert not same(
        answers(made, backbone, cases[0].edits, cases[0].probes, ASK), backbone.answer(cases[0].probes, ASK)
    )
    answers(made, backbone, cases[0].edits, cases[0].probes, Ask(decode="generate", max_new=2))
    assert fingerprint(backbone.module) == before


def test_under_strict_what_is_out_of_scope_keeps_every_bit(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train)
    with torch.no_grad():
        for head in (made.networks().scope.head, made.networks().scope.picture_head):
            head.weight.mul_(1000)  # type: ignore[union-attr]  # what differs is far
    edit, probes = cases[0].edits[0], cases[0].probes
    said, base = answers(made, backbone, [edit], probes, ASK), backbone.answer(probes, ASK)
    inside = [probe.query == edit.query for probe in probes]
    assert any(inside)
    assert any(not within and probe.query.text == edit.query.text for within, probe in zip(inside, probes, strict=True))
    for near, one, other in zip(inside, said, base, strict=True):
        assert same([one], [other]) != near


def test_in_scope_the_counterfactual_answers_alone(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train, picture_head=0)
    made.keys = AllNear()
    edit, probes = cases[0].edits[0], cases[0].probes
    alone = backbone.answer([behind(edit, probe) for probe in probes], ASK)
    for one, other in zip(answers(made, backbone, [edit], probes, ASK), alone, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)


def test_written_answers_are_decided_by_the_question_under_both_protocols(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    ask = Ask(decode="generate", max_new=3)
    edit, probes = cases[0].edits[0], cases[0].probes[:3]
    for switches in (STRICT, PAPER):
        made = editor(llava, encoder, train, switches, picture_head=0)
        made.keys = AllNear()
        alone = llava.answer([behind(edit, probe) for probe in probes], ask)
        assert [a.token_ids for a in answers(made, llava, [edit], probes, ask)] == [a.token_ids for a in alone]


def test_under_paper_every_answer_is_the_mixture_of_both(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train, PAPER)
    edit, probes = cases[0].edits[0], cases[0].probes
    ask = replace(ASK, positions="all", labels="alone")
    said = answers(made, backbone, [edit], probes, ask)
    base = backbone.answer(probes, ask)
    other = backbone.answer([behind(edit, probe) for probe in probes], ask)
    texts = [f"{probe.query.text} {probe.target}" for probe in probes]
    near = made.networks().scope.nearest(texts, [made.keys.of_edit(edit)], MemoryStore()).log_similarity.exp()
    for answer, a, b, s in zip(said, base, other, near, strict=True):
        mixed = soft(torch.tensor(a.logprobs), torch.tensor(b.logprobs), s).log_softmax(-1)
        np.testing.assert_allclose(answer.logprobs, mixed.detach().numpy(), atol=1e-4)


def test_it_lends_no_module(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    with (
        editor(llava, encoder, train).open(llava, MemoryStore()) as session,
        pytest.raises(UserError),
        session.module(),
    ):
        pass


def test_half_precision_edits_too(encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]) -> None:
    half = load("tiny-llava", torch.bfloat16)
    made = editor(half, encoder, train)
    learn(made, half, train[:1], 1)
    assert not same(answers(made, half, cases[0].edits, cases[0].probes, ASK), half.answer(cases[0].probes, ASK))
