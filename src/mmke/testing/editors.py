"""What every editor promises on every architecture: it edits inside its session and leaves nothing behind.

Each claim below is a function of an `EditorTrial`; `editor_contract` tries them all, one test each.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from torch import nn

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editors.none.edit import NullEditor
from mmke.edits.files import restore
from mmke.edits.kept import KeptEditor
from mmke.edits.pictures import finder
from mmke.edits.record import MadeWith, read_record
from mmke.errors import UserError
from mmke.protocols import Editor, EditSession, SessionState, TrainableEditor
from mmke.running.fingerprint import fingerprint
from mmke.testing.kit import HALF, TINY, Changes, Kit, shared_kit
from mmke.types import Answer, Ask, EditCase, Probe

ASK = Ask(top=5, logprobs=True)
WRITING = Ask(decode="generate", max_new=4)


@dataclass(frozen=True)
class EditorTrial:
    """An editor on a backbone, with records to edit and a store of its own.

    Attributes:
        kit: made the rest, and makes the same in another precision.
        name: the editor's registered name.
        architecture: the backbone's name in the kit.
        changes: settings that differ from the shipped ones.
    """

    kit: Kit
    name: str
    architecture: str
    changes: Changes
    store: MemoryStore

    @property
    def backbone(self) -> ComposedBackbone:
        """The unedited model."""
        return self.kit.backbone(self.architecture)

    @property
    def cases(self) -> tuple[EditCase, ...]:
        """Evaluation records."""
        return self.kit.cases

    @property
    def to_write(self) -> list[Probe]:
        """The probes of the first record without targets: an answer that is written is at most as long as `WRITING`."""
        return [replace(probe, target="") for probe in self.cases[0].probes]

    def editor(self) -> Editor:
        """Make the editor; one that is trained has been trained briefly."""
        return self.kit.editor(self.name, self.backbone, changes=self.changes)

    def open(self) -> AbstractContextManager[EditSession]:
        """Begin a session of a new editor."""
        return self.editor().open(self.backbone, self.store)

    def unedited(self, ask: Ask = ASK) -> list[Answer]:
        """Return what the backbone answers to the probes of the first record: unedited, unless a module is lent."""
        return self.backbone.answer(self.cases[0].probes, ask)


Claim = Callable[[EditorTrial], None]


def same(some: Sequence[Answer], others: Sequence[Answer]) -> bool:
    """Tell whether answers agree to the last bit."""
    return all(
        one.token_ids == other.token_ids and np.array_equal(one.logprobs, other.logprobs)  # type: ignore[arg-type]
        for one, other in zip(some, others, strict=True)
    )


def it_keeps_the_protocol(trial: EditorTrial) -> None:
    """Editor and session have every member that `mmke.protocols` names."""
    editor = trial.editor()
    assert isinstance(editor, Editor)
    assert editor.name == trial.name
    editor.check(trial.backbone)
    with editor.open(trial.backbone, trial.store) as session:
        assert isinstance(session, EditSession)


def before_an_edit_it_answers_as_the_backbone(trial: EditorTrial) -> None:
    """An empty list of edits changes no bit of an answer."""
    with trial.open() as session:
        session.apply([])
        assert same(session.answer(trial.cases[0].probes, ASK), trial.unedited())


def an_edit_changes_answers_and_no_edit_changes_none(trial: EditorTrial) -> None:
    """Some answer differs after an edit; under the editor that edits nothing, none does."""
    editor = trial.editor()
    with editor.open(trial.backbone, trial.store) as session:
        session.apply(trial.cases[0].edits)
        edited = session.answer(trial.cases[0].probes, ASK)
    assert same(edited, trial.unedited()) == isinstance(editor, NullEditor)


def an_edit_that_is_fitted_makes_its_target_more_probable(trial: EditorTrial) -> None:
    """The edit's own question is answered with its target with a higher probability than before.

    This is asked of editors that change weights or are trained. A random model does not read its context.
    """
    editor = trial.editor()
    recall = [probe for probe in trial.cases[0].probes if probe.kind.role == "recall"]
    with editor.open(trial.backbone, trial.store) as session:
        session.apply(trial.cases[0].edits)
        edited = session.answer(recall, ASK)[0].target_logprob
        with lent_module(session) as module:
            lends = module is not None
    before = trial.backbone.answer(recall, ASK)[0].target_logprob
    if isinstance(editor, NullEditor):
        assert edited == before
    elif isinstance(editor, TrainableEditor) or lends:
        assert edited > before
    else:
        assert edited != before


def leaving_restores_every_tensor_hook_and_mode(trial: EditorTrial) -> None:
    """After a session the model is what it was, bit for bit."""
    before = fingerprint(trial.backbone.module)
    with trial.open() as session:
        session.apply(trial.cases[0].edits)
        session.answer(trial.cases[0].probes, ASK)
        session.answer(trial.to_write, WRITING)
    assert fingerprint(trial.backbone.module) == before


def leaving_by_an_exception_restores_too(trial: EditorTrial) -> None:
    """The same where a session ends by an error: here a probe whose target is empty."""
    before = fingerprint(trial.backbone.module)
    broken = replace(trial.cases[0].probes[0], target="")
    with pytest.raises(UserError), trial.open() as session:  # noqa: PT012
        session.apply(trial.cases[0].edits)
        session.answer([broken], ASK)
    assert fingerprint(trial.backbone.module) == before


def two_sessions_in_a_row_agree(trial: EditorTrial) -> None:
    """Nothing of a session is left in the editor or the backbone."""
    editor, heard = trial.editor(), []
    for _ in range(2):
        with editor.open(trial.backbone, MemoryStore()) as session:
            session.apply(trial.cases[0].edits)
            heard.append(session.answer(trial.cases[0].probes, ASK))
    assert same(*heard)


def what_was_stored_does_not_change_an_answer(trial: EditorTrial) -> None:
    """A store that keeps nothing, one that is filled and one that is full give the same bits."""
    editor, heard = trial.editor(), []
    for budget in (0, trial.store.budget, trial.store.budget):
        trial.store.budget = budget
        with editor.open(trial.backbone, trial.store) as session:
            session.apply(trial.cases[0].edits)
            heard.append(session.answer(trial.cases[0].probes, ASK))
    assert same(heard[0], heard[1])
    assert same(heard[1], heard[2])


def the_lent_module_answers_as_the_session_and_is_given_back(trial: EditorTrial) -> None:
    """What `module()` lends answers and writes as the session does, and no store mixes it up with the unedited model.

    An editor whose edit does not live in the weights refuses with a `UserError`.
    """
    editor, backbone, probes = trial.editor(), trial.backbone, trial.cases[0].probes
    before, unedited = fingerprint(backbone.module), backbone.answer(probes, ASK, store=trial.store)
    with editor.open(backbone, trial.store) as session:
        session.apply(trial.cases[0].edits)
        inside, written = session.answer(probes, ASK), session.answer(trial.to_write, WRITING)
        with lent_module(session) as module:
            if module is not None:
                assert module is backbone.module
                lent = backbone.answer(probes, ASK, store=trial.store)
                lent_written = backbone.answer(trial.to_write, WRITING)
    assert same(backbone.answer(probes, ASK, store=trial.store), unedited)
    assert fingerprint(backbone.module) == before
    if module is None:
        return
    assert [answer.token_ids for answer in lent] == [answer.token_ids for answer in inside]
    assert [answer.token_ids for answer in lent_written] == [answer.token_ids for answer in written]
    for one, other in zip(lent, inside, strict=True):
        # The lent module holds a sum whose parts the session may keep apart: float32 rounds them differently.
        np.testing.assert_allclose(one.logprobs, other.logprobs, rtol=2e-5, atol=1e-5)  # type: ignore[arg-type]
    assert same(lent, unedited) == isinstance(editor, NullEditor)


def a_fresh_session_goes_on_from_a_saved_state_with_the_same_bits(trial: EditorTrial) -> None:
    """A session becomes a folder and a session again; a later edit on top makes the same bits as in the first."""
    by = MadeWith(editor=trial.name, protocol="strict", seed=0, settings={}, checkpoint=None, training_records=None)
    editor, cases, backbone = KeptEditor(trial.editor(), by), trial.cases, trial.backbone
    with TemporaryDirectory() as place:
        folder = Path(place) / "edit"
        with editor.open(backbone, MemoryStore()) as session:
            session.apply(cases[0].edits)
            session.apply(cases[1].edits)
            record = session.save(folder)
            inside = session.answer(cases[1].probes, ASK)
            session.apply(cases[2].edits)
            later = session.answer(cases[0].probes, ASK)
        assert read_record(folder) == record
        with editor.open(backbone, MemoryStore()) as session:
            restore(session, backbone, folder, record, finder(folder, record, None))
            assert same(session.answer(cases[1].probes, ASK), inside)
            session.apply(cases[2].edits)
            assert same(session.answer(cases[0].probes, ASK), later)


def a_state_of_no_edit_is_the_unedited_model_and_another_editors_is_refused(trial: EditorTrial) -> None:
    """Loading takes the place of what was applied; a state names its editor and its weights."""
    with trial.open() as session:
        state = session.state()
        session.apply(trial.cases[0].edits)
        session.load_state(state)
        assert same(session.answer(trial.cases[0].probes, ASK), trial.unedited())
        for key in ("editor", "weights_revision"):
            with pytest.raises(UserError, match=f"a saved session of {key} 'another'"):
                session.load_state(SessionState(state.tensors, {**state.facts, key: "another"}))


def it_edits_in_half_precision_too(trial: EditorTrial) -> None:
    """In bfloat16 an edit changes answers as well, and leaving restores the model."""
    backbone = trial.kit.backbone(trial.architecture, HALF)
    editor = trial.kit.editor(trial.name, backbone, changes=trial.changes)
    before, probes = fingerprint(backbone.module), trial.cases[0].probes
    with editor.open(backbone, trial.store) as session:
        session.apply(trial.cases[0].edits)
        edited = session.answer(probes, ASK)
    assert same(edited, backbone.answer(probes, ASK)) == isinstance(editor, NullEditor)
    assert fingerprint(backbone.module) == before


def one_session_keeps_the_main_claims(trial: EditorTrial) -> None:
    """One edit is felt, makes its target more probable, is lent as a module, is saved, and leaves nothing behind.

    The claims above in a sixth of the time, for architectures that an editor treats alike.
    """
    editor, backbone, probes = trial.editor(), trial.backbone, trial.cases[0].probes
    before, unedited, null = fingerprint(backbone.module), trial.unedited(), isinstance(editor, NullEditor)
    recall = next(number for number, probe in enumerate(probes) if probe.kind.role == "recall")
    with editor.open(backbone, trial.store) as session:
        session.apply([])
        assert same(session.answer(probes, ASK), unedited)
        session.apply(trial.cases[0].edits)
        edited = session.answer(probes, ASK)
        session.answer(trial.to_write, WRITING)
        state = session.state()
        with lent_module(session) as module:
            lent = trial.unedited() if module is not None else None
    assert same(edited, unedited) == null
    with editor.open(backbone, MemoryStore()) as session:
        session.load_state(state)
        assert same(session.answer(probes, ASK), edited)
    if lent is not None:
        assert [answer.token_ids for answer in lent] == [answer.token_ids for answer in edited]
    if not null and (lent is not None or isinstance(editor, TrainableEditor)):
        assert edited[recall].target_logprob > unedited[recall].target_logprob
    assert same(trial.unedited(), unedited)
    assert fingerprint(backbone.module) == before


CLAIMS: tuple[Claim, ...] = (
    it_keeps_the_protocol,
    before_an_edit_it_answers_as_the_backbone,
    an_edit_changes_answers_and_no_edit_changes_none,
    an_edit_that_is_fitted_makes_its_target_more_probable,
    leaving_restores_every_tensor_hook_and_mode,
    leaving_by_an_exception_restores_too,
    two_sessions_in_a_row_agree,
    what_was_stored_does_not_change_an_answer,
    the_lent_module_answers_as_the_session_and_is_given_back,
    a_fresh_session_goes_on_from_a_saved_state_with_the_same_bits,
    a_state_of_no_edit_is_the_unedited_model_and_another_editors_is_refused,
    it_edits_in_half_precision_too,
)


IN_SHORT: tuple[Claim, ...] = (one_session_keeps_the_main_claims,)


@contextmanager
def lent_module(session: EditSession) -> Iterator[nn.Module | None]:
    """Lend what a session lends; None where it refuses, because the edit does not live in the weights."""
    with ExitStack() as stack:
        try:
            module = stack.enter_context(session.module())
        except UserError:
            module = None
        yield module


def editor_contract(
    *names: str,
    backbones: Sequence[str] = TINY,
    claims: Sequence[Claim] = CLAIMS,
    changes: Changes | None = None,
) -> Callable[..., None]:
    """Return a test of every claim for each of these editors on each of these backbones.

    Args:
        names: registered names, such as those of a package's entry points.
        backbones: any of `mmke.testing.ARCHITECTURES`, or other registered backbones.
        claims: what is tried.
        changes: settings that differ from the shipped ones, by editor: fewer steps make the tests quicker.
    """

    @pytest.mark.parametrize("claim", claims, ids=lambda claim: claim.__name__)
    @pytest.mark.parametrize("backbone", backbones)
    @pytest.mark.parametrize("editor", names)
    def test_editor(editor: str, backbone: str, claim: Claim, request: pytest.FixtureRequest) -> None:
        claim(EditorTrial(shared_kit(request), editor, backbone, changes or {}, MemoryStore()))

    return test_editor
