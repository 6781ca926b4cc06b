"""What every editor promises where edits follow each other in one session: a stream of them.

The claims are functions of an `EditorTrial`, as in `editors`; `stream_contract` tries them all, one test each.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save

from mmke.backbones.engine.store import MemoryStore
from mmke.editors.none.edit import NullEditor
from mmke.errors import CannotAskError
from mmke.protocols import EditSession, SessionState
from mmke.running.fingerprint import fingerprint
from mmke.testing.editors import ASK, WRITING, Claim, EditorTrial, editor_contract, lent_module, same
from mmke.testing.kit import TINY, Changes
from mmke.types import Answer, Edit, EditCase, ImageRef, Query

SOME = 4
"""How many probes of a record are asked where a claim asks several times: enough for both modalities."""
CHOSEN = ("accepted", "edit")
"""Notes that say what an editor with a memory decided."""


def batches(cases: Sequence[EditCase]) -> list[list[Edit]]:
    """Return a stream of five edits in four batches; the last edit contradicts the first."""
    one, two, three, four = (case.edits[0] for case in cases[:4])
    return [[one], [two], [three, four], [replace(one, target=two.target)]]


def saved(session: EditSession) -> SessionState:
    """Return a session's state as files and JSON hold it."""
    state = session.state()
    return SessionState(load(save(dict(state.tensors))), json.loads(json.dumps(dict(state.facts))))


def decided(answer: Answer) -> dict[str, int]:
    """Return what an answer's notes say of the edit that was chosen for it."""
    return {name: answer.notes[name] for name in CHOSEN if name in answer.notes}


@dataclass(frozen=True)
class Moment:
    """A session's state after some batches, and its answers then."""

    applied: int
    state: SessionState
    answers: list[Answer]


def a_stream_goes_on_from_any_saved_state_with_the_same_bits(trial: EditorTrial) -> None:
    """A fresh session that loads a state answers as the first did then, and after the same later edits as it did.

    After all of them the model is what it was, bit for bit.
    """
    editor, backbone, probes = trial.editor(), trial.backbone, trial.cases[1].probes[:SOME]
    before, stream, moments = fingerprint(backbone.module), batches(trial.cases), []
    with editor.open(backbone, MemoryStore()) as session:
        for applied, batch in enumerate(stream, start=1):
            session.apply(batch)
            moments.append(Moment(applied, saved(session), session.answer(probes, ASK)))
    for moment in (moments[0], moments[1], moments[-1]):
        with editor.open(backbone, MemoryStore()) as session:
            session.load_state(moment.state)
            assert same(session.answer(probes, ASK), moment.answers)
            for batch in stream[moment.applied :]:
                session.apply(batch)
            assert same(session.answer(probes, ASK), moments[-1].answers)
    assert fingerprint(backbone.module) == before


def what_is_no_edit_or_cannot_be_made_leaves_what_was_applied(trial: EditorTrial) -> None:
    """An empty batch changes no bit, nor does a batch with an edit whose picture is needed and cannot be read."""
    editor, probes = trial.editor(), trial.cases[0].probes
    gone = Edit(Query("What is shown?", ImageRef(Path("gone.png"), "0" * 64)), "nothing at all")
    with editor.open(trial.backbone, MemoryStore()) as session:
        session.apply(trial.cases[0].edits)
        before, state = session.answer(probes, ASK), saved(session)
        session.apply([])
        refused = False
        try:
            session.apply([*trial.cases[1].edits, gone])
        except CannotAskError:
            refused = True
        if refused:
            assert same(session.answer(probes, ASK), before)
            assert saved(session).facts == state.facts
        with lent_module(session) as module:
            assert refused or module is None or isinstance(editor, NullEditor)


def a_batch_is_made_of_edits_alone_and_the_same_ones_give_the_same_bits(trial: EditorTrial) -> None:
    """Edits that are known by their words and pictures only, without their records, are made alike, as one batch."""
    editor, probes = trial.editor(), trial.cases[0].probes
    batch = [edit for case in trial.cases[:3] for edit in case.edits]
    alone = [Edit(Query(str(edit.query.text), edit.query.image), str(edit.target), edit.original) for edit in batch]
    heard = []
    for edits in (batch, alone):
        with editor.open(trial.backbone, MemoryStore()) as session:
            session.apply(edits)
            heard.append(session.answer(probes, ASK))
    assert same(*heard)
    assert same(heard[0], trial.unedited()) == isinstance(editor, NullEditor)


def neither_gold_answers_nor_the_order_of_questions_decide_which_edit_answers(trial: EditorTrial) -> None:
    """What the notes say of each question's edit stays the same; an editor without a memory notes nothing."""
    probes = [probe for case in trial.cases[:2] for probe in case.probes[:SOME]]
    with trial.open() as session:
        for batch in batches(trial.cases):
            session.apply(batch)
        first = [decided(answer) for answer in session.answer(probes, ASK)]
        other = [replace(probe, target="x") for probe in reversed(probes)]
        assert [decided(answer) for answer in session.answer(other, ASK)] == first[::-1]
    with trial.open() as session:
        for batch in batches(trial.cases):
            session.apply(batch)
        assert [decided(answer) for answer in session.answer(other, ASK)] == first[::-1]
        assert all(note.get("edit", 0) < len(batches(trial.cases)) + 1 for note in first)


def weights_that_are_no_numbers_are_seen_in_the_answers_and_stop_nothing(trial: EditorTrial) -> None:
    """NaN in the edited weights comes out as NaN; the session still answers, writes, edits and is saved."""
    editor, probes = trial.editor(), trial.cases[0].probes
    with editor.open(trial.backbone, MemoryStore()) as session:
        session.apply(trial.cases[0].edits)
        with lent_module(session) as module:
            if module is None or isinstance(editor, NullEditor):
                return
        edited = session.answer(probes, ASK)
        state = session.state()
        broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.tensors.items()}
        session.load_state(SessionState(broken, state.facts))
        for _ in range(2):
            answers = session.answer(probes, ASK)
            # What the edited tensors cannot reach, such as a question without a picture, is answered as before.
            for answer, sane, base in zip(answers, edited, trial.unedited(), strict=True):
                assert np.isnan(answer.logprobs).all() != same([sane], [base])  # type: ignore[arg-type]
            session.answer(trial.to_write, WRITING)
            session.apply(trial.cases[1].edits)
        session.load_state(saved(session))


STREAM_CLAIMS: tuple[Claim, ...] = (
    a_stream_goes_on_from_any_saved_state_with_the_same_bits,
    what_is_no_edit_or_cannot_be_made_leaves_what_was_applied,
    a_batch_is_made_of_edits_alone_and_the_same_ones_give_the_same_bits,
    neither_gold_answers_nor_the_order_of_questions_decide_which_edit_answers,
    weights_that_are_no_numbers_are_seen_in_the_answers_and_stop_nothing,
)
STREAM_IN_SHORT: tuple[Claim, ...] = (a_stream_goes_on_from_any_saved_state_with_the_same_bits,)


def stream_contract(
    *names: str,
    backbones: Sequence[str] = TINY,
    claims: Sequence[Claim] = STREAM_CLAIMS,
    changes: Changes | None = None,
) -> Callable[..., None]:
    """Return a test of every claim about streams for each of these editors; for the arguments see `editor_contract`."""
    return editor_contract(*names, backbones=backbones, claims=claims, changes=changes)
