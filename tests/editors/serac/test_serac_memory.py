"""SERAC's memory: keys are made once for each edit, the nearest edit decides, and of equal ones the newest."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from serac_kit import ASK, AllNear, editor, same
from torch import Tensor

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.probes.published import RECALL
from mmke.editors.serac.remembered import EditKeys
from mmke.errors import CannotAskError, UserError
from mmke.protocols import SessionState
from mmke.types import PAPER, STRICT, Edit, EditCase, ImageRef, Probe, Query, Switches

CAT, DOG = Edit(Query("a red cat"), "tin"), Edit(Query("zzz 999"), "wood")
ASKED = Probe(RECALL, Query("a red cat"), "tin")


def keys(texts: list[list[float]], of: list[int], pictures: list[list[float]], whose: list[int]) -> EditKeys:
    shown = torch.tensor(pictures) if pictures else torch.zeros(0, 0)
    return EditKeys(torch.tensor(texts), torch.tensor(of), shown, torch.tensor(whose, dtype=torch.long))


def test_keys_of_later_edits_stand_behind() -> None:
    first = keys([[0.0], [1.0]], [0, 0], [], [])
    both = first.joined(keys([[2.0], [3.0]], [0, 1], [[5.0]], [1]))
    assert both.of.tolist() == [0, 0, 1, 2]
    assert both.texts.flatten().tolist() == [0, 1, 2, 3]
    assert (both.pictures.tolist(), both.whose.tolist()) == ([[5.0]], [2])


def test_a_picture_counts_where_probe_and_edit_have_one() -> None:
    remembered = keys([[0.0], [1.0]], [0, 1], [[3.0]], [1])
    found = remembered.distances(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0]]), torch.tensor([1]))
    assert found.tolist() == [[0.0, 1.0], [0.0, 1.0 + 4.0]]


def test_many_keys_are_compared_in_parts_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = keys(torch.randn(50, 8).tolist(), list(range(50)), torch.randn(50, 4).tolist(), list(range(50)))
    asked = torch.randn(9, 8), torch.randn(9, 4), torch.arange(9)
    whole = remembered.distances(*asked)
    monkeypatch.setattr("mmke.editors.serac.remembered.TOGETHER", 2 * 50 * 8)
    assert torch.equal(remembered.distances(*asked), whole)


@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
@pytest.mark.parametrize("edits", [[CAT, DOG], [DOG, CAT]], ids=["first", "last"])
def test_notes_name_the_nearest_edit(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], switches: Switches, edits: list[Edit]
) -> None:
    with editor(llava, encoder, train, switches).open(llava, MemoryStore()) as session:
        assert session.answer([ASKED], ASK)[0].notes == {}
        for edit in edits:
            session.apply([edit])
        near = session.answer([ASKED], ASK)[0]
        assert near.notes == {"accepted": 1, "edit": edits.index(CAT)}


def test_a_question_out_of_scope_is_noted_as_not_accepted(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train)
    with torch.no_grad():
        made.networks().scope.head.weight.mul_(1000)  # type: ignore[union-attr]  # what differs is far
    with made.open(llava, MemoryStore()) as session:
        session.apply([DOG])
        assert session.answer([ASKED], ASK)[0].notes == {"accepted": 0}


def test_of_equally_near_edits_the_newest_answers(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train)
    made.keys = AllNear()
    with made.open(llava, MemoryStore()) as session:
        for newest, edit in enumerate([CAT, DOG, CAT, DOG]):
            session.apply([edit])
            assert session.decide([ASKED.query]) == [newest]


def test_each_edit_is_encoded_once(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, read = editor(llava, encoder, train, encoder_trained=True), []
    reader = made.networks().scope.encoder[0]
    states = type(reader).states

    def counted(self: Any, texts: Sequence[str], **how: Any) -> Tensor:
        read.extend(texts)
        return states(self, texts, **how)

    monkeypatch.setattr(type(reader), "states", counted)
    with made.open(llava, MemoryStore()) as session:
        for edit in (CAT, DOG):
            session.apply([edit])
        session.answer([ASKED], ASK)
        state = session.state()
    with made.open(llava, MemoryStore()) as session:
        session.load_state(state)
    assert sorted(read) == sorted([*made.keys.of_edit(CAT), *made.keys.of_edit(DOG), ASKED.query.text])


def test_trained_tensors_are_made_once(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    with editor(llava, encoder, train).open(llava, MemoryStore()) as session:
        session.apply([CAT])
        first = session.memory.weights
        session.apply([DOG])
        assert session.memory.weights is first


def test_an_edit_that_cannot_be_made_leaves_what_was_applied(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    gone = Edit(Query("what", ImageRef(cases[0].edits[0].query.image.path.with_name("gone.png"), "0" * 64)), "tin")
    with editor(backbone, encoder, train).open(backbone, MemoryStore()) as session:
        session.apply(cases[0].edits)
        before = session.answer(cases[0].probes, ASK)
        with pytest.raises(CannotAskError):
            session.apply([CAT, gone])
        assert same(session.answer(cases[0].probes, ASK), before)
        assert len(session.state().facts["edits"]) == 1


def test_keys_of_another_number_of_edits_are_refused(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    with editor(llava, encoder, train).open(llava, MemoryStore()) as session:
        session.apply([CAT])
        state = session.state()
        facts = {**state.facts, "edits": state.facts["edits"] * 2}
        for wrong in (SessionState(state.tensors, facts), SessionState({}, state.facts)):
            with pytest.raises(UserError, match="the saved session does not fit"):
                session.load_state(wrong)
        assert len(session.state().facts["edits"]) == 1
