"""IKE with several edits: which of them a question is asked behind, and that neither answers nor order decide it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as loaded
from safetensors.torch import save

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.published import T_REL
from mmke.editing.sentence_encoder import SentenceEncoder
from mmke.editing.settings import resolve
from mmke.editors.ike.edit import InContextSession
from mmke.editors.ike.prompt import Context, fit
from mmke.editors.ike.retrieval import own_sentence
from mmke.errors import UserError
from mmke.protocols import Router, SessionState, TakesOwnEdits
from mmke.types import PAPER, STRICT, Ask, Edit, EditCase, Probe, Query, Switches

FACTS = [
    Edit(Query("Where does the grey cat sleep?"), "in the box"),
    Edit(Query("Who wrote the green book?"), "Ada Hill"),
    Edit(Query("What colour is the flag of Norland?"), "yellow"),
]
QUESTIONS = [
    "Which author wrote that green book?",
    "The flag of Norland has which colour?",
    "In which place does the cat sleep?",
    "Of whom is the green book?",
]
NEAREST = [1, 2, 0, 1]
ASK = Ask(top=5, logprobs=True)


@pytest.fixture(scope="module")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases


def session_of(
    backbone: ComposedBackbone,
    train: tuple[EditCase, ...],
    memory: str | None = None,
    *,
    name: str = "ike-random",
    switches: Switches = STRICT,
) -> InContextSession:
    changes = {"demonstrations": 1} | ({} if memory is None else {"memory": memory})
    settings = resolve(name, backbone.name, changes, protocol=switches.protocol)
    session: InContextSession = registry.factory("editors", name)(settings, switches, train=train, seed=0).session(
        backbone, MemoryStore()
    )
    return session


def asked(questions: list[str], target: str = "x") -> list[Probe]:
    return [Probe(T_REL, Query(question), target) for question in questions]


def chosen(session: InContextSession, probes: list[Probe]) -> list[int]:
    return [answer.notes["edit"] for answer in session.answer(probes, Ask())]


@pytest.mark.parametrize("name", ["ike", "ike-random"])
def test_a_question_is_asked_behind_the_edit_that_is_nearest_to_its_text(
    name: str, backbone: ComposedBackbone, train: tuple[EditCase, ...]
) -> None:
    session = session_of(backbone, train, name=name)
    for edit in FACTS:
        session.apply([edit])
    answers = session.answer(asked(QUESTIONS), Ask())
    assert [answer.notes["edit"] for answer in answers] == NEAREST
    assert {answer.notes["accepted"] for answer in answers} == {1}
    prompt = session._prompt(asked(QUESTIONS)[0], 1)[0].query.text
    assert prompt.endswith("New Fact: Who wrote the green book? Ada Hill\nPrompt: Which author wrote that green book?")
    assert "Norland" not in prompt


def test_neither_gold_answers_nor_the_order_of_questions_decide(
    backbone: ComposedBackbone, train: tuple[EditCase, ...]
) -> None:
    session = session_of(backbone, train)
    session.apply(FACTS)
    misleading = [Probe(T_REL, Query(text), FACTS[0].target) for text in QUESTIONS]
    assert chosen(session, misleading) == NEAREST
    assert chosen(session, asked(QUESTIONS[::-1])) == NEAREST[::-1]
    session.take_own_edits([FACTS[0]])
    assert chosen(session, asked(QUESTIONS)) == NEAREST


def test_a_batch_and_one_edit_after_the_other_are_remembered_alike(
    backbone: ComposedBackbone, train: tuple[EditCase, ...]
) -> None:
    together, in_turn = (session_of(backbone, train) for _ in range(2))
    together.apply(FACTS)
    for edit in FACTS:
        in_turn.apply([edit])
    one, other = (session.state() for session in (together, in_turn))
    assert one.facts == other.facts
    assert torch.equal(one.tensors["vectors"], other.tensors["vectors"])


def test_of_edits_with_the_same_text_the_newest_is_found(
    backbone: ComposedBackbone, train: tuple[EditCase, ...]
) -> None:
    session = session_of(backbone, train)
    session.apply([*FACTS, FACTS[1]])
    assert chosen(session, asked(QUESTIONS)) == [3, 2, 0, 3]


def test_with_one_edit_every_memory_gives_the_same_bits_and_embeds_nothing(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SentenceEncoder, "embed")
    heard = []
    for memory in ("retrieve", "newest", "own", "all"):
        session = session_of(backbone, train, memory)
        session.apply(FACTS[:1])
        session.take_own_edits(FACTS[:1])
        heard.append(session.answer(asked(QUESTIONS), ASK))
        assert session.state().tensors == {}
    for answers in heard[1:]:
        for one, other in zip(answers, heard[0], strict=True):
            assert np.array_equal(one.logprobs, other.logprobs)  # type: ignore[arg-type]
            assert {**one.notes, "edit": 0} == other.notes


def test_the_newest_edit_is_the_memory_under_paper(backbone: ComposedBackbone, train: tuple[EditCase, ...]) -> None:
    session = session_of(backbone, train, switches=PAPER)
    for count, edit in enumerate(FACTS):
        session.apply([edit])
        assert chosen(session, asked(QUESTIONS)) == [count] * 4


def test_the_own_edit_has_to_be_told_and_to_be_applied(backbone: ComposedBackbone, train: tuple[EditCase, ...]) -> None:
    session = session_of(backbone, train, "own")
    assert isinstance(session, TakesOwnEdits)
    assert isinstance(session, Router)
    session.apply(FACTS[:2])
    with pytest.raises(
        UserError, match=r"ike-random.memory = 'own' has to be told which edits the questions belong to"
    ):
        session.answer(asked(QUESTIONS), ASK)
    session.take_own_edits([FACTS[0]])
    assert chosen(session, asked(QUESTIONS)) == [0] * 4
    session.take_own_edits(FACTS[:2])
    assert chosen(session, asked(QUESTIONS[::2])) == [1, 0]
    session.take_own_edits([FACTS[2]])
    before = session.answer(asked(QUESTIONS), ASK)
    assert [answer.notes for answer in before] == [{"accepted": 0}] * 4
    for one, other in zip(before, backbone.answer(asked(QUESTIONS), ASK), strict=True):
        assert np.array_equal(one.logprobs, other.logprobs)  # type: ignore[arg-type]


def test_all_edits_stand_in_the_prompt_and_none_was_chosen(
    backbone: ComposedBackbone, train: tuple[EditCase, ...]
) -> None:
    session = session_of(backbone, train, "all")
    session.apply(FACTS)
    prompt = session._prompt(asked(QUESTIONS)[0], 2)[0].query.text
    sentences = [own_sentence(edit.query.text, edit.target) for edit in FACTS]
    assert "".join(sentences) in prompt
    notes = session.answer(asked(QUESTIONS)[:1], Ask())[0].notes
    assert "edit" not in notes
    assert (notes["accepted"], notes["demonstrations"]) == (1, 1 + 3)


def test_a_longer_question_drops_demonstrations_first_and_then_the_oldest_edits() -> None:
    context = Context(["near.", "far."], FACTS)
    oldest, middle, newest = (own_sentence(edit.query.text, edit.target) for edit in FACTS)
    fact = "New Fact: What colour is the flag of Norland? yellow\nPrompt: "
    texts = [f"{newest}{fact}", f"{middle}{newest}{fact}", f"{oldest}{middle}{newest}{fact}"]
    texts += [f"near.{texts[-1]}", f"near.far.{texts[-1]}"]
    assert [context.text(pieces) for pieces in range(5)] == texts
    for pieces, text in enumerate(texts):
        found = fit(context, limit=len(text), length=lambda kept: len(context.text(kept)), length_of=len)
        assert found == (pieces, len(text))


def test_a_saved_session_searches_as_the_first_one_did_without_embedding_edits_again(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (session_of(backbone, train) for _ in range(2))
    first.apply(FACTS[:2])
    state = first.state()
    embed, texts = SentenceEncoder.embed, []
    monkeypatch.setattr(SentenceEncoder, "embed", lambda self, some: (texts.extend(some), embed(self, some))[1])
    second.load_state(SessionState(loaded(save(dict(state.tensors))), json.loads(json.dumps(dict(state.facts)))))
    assert texts == []
    for session in (first, second):
        session.apply(FACTS[2:])
    for one, other in zip(*(each.answer(asked(QUESTIONS), ASK) for each in (first, second)), strict=True):
        assert one.notes == other.notes
        assert np.array_equal(one.logprobs, other.logprobs)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="it has 0 embeddings for 2 edits"):
        second.load_state(replace(state, tensors={}))
    assert len(second.memory.notes) == 3
