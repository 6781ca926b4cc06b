"""What every editor promises on every architecture: it edits inside its session and leaves nothing behind."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import EDITORS, make_editor
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.protocols import Editor, EditSession
from mmke.running.fingerprint import fingerprint
from mmke.types import Answer, Ask, EditCase, UserError

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
    assert same(edited, backbone.answer(cases[0].probes, ASK)) == (editor.name == "none")


def test_an_edit_makes_its_target_more_probable(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    if editor.name in ("none", "ike", "ike-random"):
        pytest.skip("only what is trained must fit; a random model does not read its context")
    recall = [probe for probe in cases[0].probes if probe.kind == "recall"]
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
        session.answer(cases[0].probes, Ask(decode="greedy", max_new=2))
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
        if editor.name.startswith("ike"):
            with pytest.raises(UserError, match="prompt"), session.module():
                pass
            return
        inside = session.answer(cases[0].probes, ASK)
        with session.module() as module:
            assert module is backbone.module
            lent = backbone.answer(cases[0].probes, ASK)
    assert [a.token_ids for a in lent] == [a.token_ids for a in inside]
    for one, other in zip(lent, inside, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)  # type: ignore[arg-type]
    assert fingerprint(backbone.module) == before


def test_decoding_uses_the_edited_model(
    editor: Editor, backbone: ComposedBackbone, store: MemoryStore, cases: tuple[EditCase, ...]
) -> None:
    if editor.name.startswith("ike"):
        pytest.skip("it lends no module to compare with")
    ask = Ask(decode="greedy", max_new=4)
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
        inside = session.answer(cases[0].probes, ask)
        with session.module():
            lent = backbone.answer(cases[0].probes, ask)
    assert [a.token_ids for a in inside] == [a.token_ids for a in lent]
