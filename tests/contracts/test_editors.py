"""What every editor promises on every architecture: it edits inside its session and leaves nothing behind."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from contract_kit import EDITORS, TINY, edits_weights, load, make_editor

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editors.none.edit import NullEditor
from mmke.errors import UserError
from mmke.protocols import Editor, EditSession, TrainableEditor
from mmke.running.fingerprint import fingerprint
from mmke.types import (
    PAPER,
    STRICT,
    Answer,
    Ask,
    EditCase,
    Switches,
)

ASK = Ask(top=5, logprobs=True)


@pytest.fixture(params=EDITORS)
def editor(request: pytest.FixtureRequest, backbone: ComposedBackbone, train: tuple[EditCase, ...]) -> Editor:
    return make_editor(request.param, backbone, train)


def same(one: list[Answer], other: list[Answer]) -> bool:
    return all(
        a.token_ids == b.token_ids and np.array_equal(a.logprobs, b.logprobs)  # type: ignore[arg-type]
        for a, b in zip(one, other, strict=True)
    )


def test_it_keeps_the_protocol(editor: Editor, backbone: ComposedBackbone, store: MemoryStore) -> None:
    assert isinstance(editor, Editor)
    with editor.open(backbone, store) as session:
        assert isinstance(session, EditSession)


def test_before_an_edit_it_answers_as_the_backbone(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    with editor.open(backbone, store) as session:
        session.apply([])
        assert same(session.answer(cases[0].probes, ASK), backbone.answer(cases[0].probes, ASK))


def test_an_edit_changes_answers_and_no_edit_changes_none(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        edited = session.answer(cases[0].probes, ASK)
    assert same(edited, backbone.answer(cases[0].probes, ASK)) == isinstance(editor, NullEditor)


def test_an_edit_makes_its_target_more_probable(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    if not isinstance(editor, TrainableEditor) and not edits_weights(editor, backbone):
        return  # a random model does not read its context; only what is fitted must fit
    recall = [probe for probe in cases[0].probes if probe.kind.name == "recall"]
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        edited = session.answer(recall, ASK)[0].target_logprob
    assert edited > backbone.answer(recall, ASK)[0].target_logprob


def test_leaving_restores_every_tensor_hook_and_mode(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    before = fingerprint(backbone.module)
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        session.answer(cases[0].probes, ASK)
        session.answer(cases[0].probes, Ask(decode="generate", max_new=2))
    assert fingerprint(backbone.module) == before


def test_leaving_by_an_exception_restores_too(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    before = fingerprint(backbone.module)
    broken = replace(cases[0].probes[0], target="")
    with pytest.raises(UserError), editor.open(backbone, store) as session:  # noqa: PT012
        session.apply(cases[0].edits)
        session.answer([broken], ASK)
    assert fingerprint(backbone.module) == before


def test_two_sessions_in_a_row_agree(editor: Editor, backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    heard = []
    for _ in range(2):
        with editor.open(backbone, MemoryStore()) as session:
            session.apply(cases[0].edits)
            heard.append(session.answer(cases[0].probes, ASK))
    assert same(*heard)


def test_what_was_stored_does_not_change_an_answer(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    heard = []
    for budget in (0, store.budget, store.budget):
        store.budget = budget
        with editor.open(backbone, store) as session:
            session.apply(cases[0].edits)
            heard.append(session.answer(cases[0].probes, ASK))
    assert same(heard[0], heard[1])
    assert same(heard[1], heard[2])


def test_the_lent_module_answers_as_the_session_and_is_given_back(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    before = fingerprint(backbone.module)
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        if not edits_weights(editor, backbone) and not isinstance(editor, NullEditor):
            with pytest.raises(UserError), session.module():
                pass
            return
        inside = session.answer(cases[0].probes, ASK)
        with session.module() as module:
            assert module is backbone.module
            lent = backbone.answer(cases[0].probes, ASK)
    assert [a.token_ids for a in lent] == [a.token_ids for a in inside]
    for one, other in zip(lent, inside, strict=True):
        # The lent module holds a sum whose parts the session may keep apart: float32 rounds them differently.
        np.testing.assert_allclose(one.logprobs, other.logprobs, rtol=2e-5, atol=1e-5)  # type: ignore[arg-type]
    assert fingerprint(backbone.module) == before


def test_decoding_uses_the_edited_model(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    if not edits_weights(editor, backbone):
        return  # it lends no edited module to compare with
    ask = Ask(decode="generate", max_new=4)
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        inside = session.answer(cases[0].probes, ask)
        with session.module():
            lent = backbone.answer(cases[0].probes, ask)
    assert [a.token_ids for a in inside] == [a.token_ids for a in lent]


def test_a_store_tells_an_edited_module_from_an_unedited_one(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    if not edits_weights(editor, backbone):
        return
    before = backbone.answer(cases[0].probes, ASK, store=store)
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        with session.module():
            assert not same(backbone.answer(cases[0].probes, ASK, store=store), before)
    assert same(backbone.answer(cases[0].probes, ASK, store=store), before)


@pytest.mark.parametrize("name", [name for name in EDITORS if name != "none"])
@pytest.mark.parametrize("half", TINY)
def test_every_editor_edits_in_half_precision_too(
    half: str, name: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...], store: MemoryStore
) -> None:
    backbone = load(half, torch.bfloat16)
    before = fingerprint(backbone.module)
    with make_editor(name, backbone, train).open(backbone, store) as session:
        session.apply(cases[0].edits)
        assert not same(session.answer(cases[0].probes, ASK), backbone.answer(cases[0].probes, ASK))
    assert fingerprint(backbone.module) == before


@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
def test_in_half_precision_what_cannot_change_does_not(
    train: tuple[EditCase, ...], cases: tuple[EditCase, ...], store: MemoryStore, switches: Switches
) -> None:
    half = load("tiny-minigpt4", torch.bfloat16)
    ask = Ask(top=10, labels=switches.labels, positions=switches.locality_positions, native_topk=True)
    editor = make_editor("ft-alignment", half, train, switches)
    loc = [probe for probe in cases[0].probes if probe.kind.name in ("t_loc", "i_loc")]
    with editor.open(half, store) as session:
        before = session.answer(loc, ask)
        session.apply(cases[0].edits)
        after = session.answer(loc, ask)
    assert np.array_equal(before[0].top_ids, after[0].top_ids)
    assert not np.array_equal(before[1].top_ids, after[1].top_ids)
