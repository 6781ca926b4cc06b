"""A look at a model tells sense from nonsense, asks through the session, and survives what is no number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmke.backbones import llama_tokenizer
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve
from mmke.editing.weight_session import WeightSession
from mmke.errors import CannotAskError
from mmke.registry import factory
from mmke.running import health
from mmke.running.health import Look, Passage, judge, look
from mmke.running.loading import load_backbone
from mmke.types import STRICT, Answer, Ask, Asks, Edit, Probe, Query
from vocabularies import folders

TOKENS = 2166


def passages(perplexity: float) -> tuple[Passage, ...]:
    return (Passage(math.log(perplexity) * TOKENS, TOKENS),)


SOUND = Look(passages(40.0), repeated=0, written=32)
WHOLE, BEGINNINGS = health.asked()
EDIT = Edit(Query("What is it?"), "a cat")


@pytest.fixture(scope="module")
def backbone() -> ComposedBackbone:
    made = load_backbone("tiny-llava")
    assert isinstance(made, ComposedBackbone)
    return made


@pytest.fixture(autouse=True)
def two_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a tenth of the text; each byte of it is a token of the tiny models."""
    passages, beginnings = health.asked()
    short = [replace(probe, target=probe.target[:300]) for probe in passages[:2]]
    monkeypatch.setattr(health, "asked", lambda: (short, beginnings))


def fine_tuned(backbone: ComposedBackbone) -> WeightSession:
    editor = factory("editors", "ft-llm")(resolve("ft-llm", backbone.name, {"steps": 2}), STRICT, train=(), seed=0)
    return WeightSession(editor, backbone, MemoryStore())


def test_the_text_has_two_thousand_tokens_of_the_published_models_vocabularies(tmp_path: Path) -> None:
    text = "\n".join(probe.target for probe in WHOLE)
    assert len(llama_tokenizer.read(folders.published_llama(tmp_path))(text).input_ids) >= 2000
    assert len(folders.gpt2_tokenizer(folders.opt_vocabulary()).encode(text).ids) >= 2000


def test_thirty_two_different_sentences_are_begun() -> None:
    assert len({probe.query.text for probe in BEGINNINGS}) == 32


def test_perplexity_is_that_of_all_tokens_together(backbone: ComposedBackbone) -> None:
    seen = look(backbone)
    text, _ = health.asked()
    answers = [backbone.answer([probe], Ask())[0] for probe in text]
    tokens = sum(len(probe.target) for probe in text)
    nats = -sum(answer.target_logprob * len(answer.target_ids) for answer in answers)
    assert seen.perplexity(seen) == pytest.approx(math.exp(nats / tokens), rel=1e-5)


def test_a_session_without_edits_looks_like_the_backbone_and_one_with_edits_does_not(
    backbone: ComposedBackbone,
) -> None:
    session = fine_tuned(backbone)
    unedited = look(backbone)
    assert look(session) == unedited
    session.apply([EDIT])
    assert look(session).passages != unedited.passages


def test_what_is_asked_again_is_kept_in_the_store(backbone: ComposedBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    session, made = fine_tuned(backbone), []
    trunk = ComposedBackbone.trunk

    def counted(self: ComposedBackbone, *args: object, **more: object) -> object:
        made.append(args[1])
        return trunk(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ComposedBackbone, "trunk", counted)
    look(session)
    first = [cut for cut in made if cut.place != "vision"]
    session.apply([EDIT])
    made.clear()
    look(session)
    assert first
    assert [cut for cut in made if cut.place != "vision"] == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_edits_that_are_no_numbers_are_a_collapse_and_no_crash(backbone: ComposedBackbone, wrong: float) -> None:
    session = fine_tuned(backbone)
    session.apply([EDIT])
    session.weights = {
        name: torch.full_like(own, wrong) for name, own in session.weights.items() if isinstance(own, torch.Tensor)
    }
    seen = look(session)
    state = judge(seen, look(backbone), edits_applied=1)
    assert session.weights
    assert not state.finite
    assert state.collapsed is not None
    assert state.collapsed.startswith("the edited tensor model.language_model")


@dataclass
class Saying:
    """A model that reads every text with one log-probability, and writes what it was given."""

    logprob: float = -1.0
    ids: tuple[int, ...] = ()
    longest: int = 10_000

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        nothing = np.zeros((0, 0), dtype=np.int64)
        if (ask if isinstance(ask, Ask) else ask[0]).decode == "generate":
            return [Answer("", self.ids, (), math.nan, nothing)] * len(probes)
        if len(probes[0].target) > self.longest:
            raise CannotAskError("too long")
        return [Answer("", (1,), (1, 2), self.logprob, nothing)] * len(probes)


@pytest.mark.parametrize(
    ("ids", "repeated"), [((5, 5, 5, 5), 32), ((5, 5, 5), 0), ((), 0), ((5, 5, 5, 6), 0), ((7,) * 8, 32)]
)
def test_an_answer_of_four_or_more_equal_tokens_is_repeated(ids: tuple[int, ...], repeated: int) -> None:
    assert look(Saying(ids=ids)).repeated == repeated


@pytest.mark.parametrize("logprob", [math.nan, -math.inf])
def test_log_probabilities_that_are_no_numbers_are_told(logprob: float) -> None:
    state = judge(look(Saying(logprob)), look(Saying()), edits_applied=3)
    assert (state.finite, state.collapsed) == (False, "the logits are not finite")


def test_passages_that_the_edited_model_cannot_be_asked_are_compared_for_neither() -> None:
    one = Passage(10.0, 10)
    edited, unedited = Look((None, one), 0, 32), Look((Passage(90.0, 10), one), 0, 32)
    state = judge(edited, unedited, edits_applied=1)
    assert state.perplexity == state.perplexity_unedited == pytest.approx(math.e)
    nothing = judge(look(Saying(longest=3)), look(Saying()), edits_applied=1)
    assert (nothing.collapsed, nothing.warning, nothing.finite) == (None, None, True)


def test_a_perplexity_beyond_the_largest_number_is_a_collapse() -> None:
    state = judge(look(Saying(-1000.0)), look(Saying()), edits_applied=3)
    assert state.finite
    assert state.collapsed == "the perplexity is inf, inf times the unedited model's"


@pytest.mark.parametrize(
    ("seen", "agreement", "collapsed", "warning"),
    [
        (SOUND, None, None, None),
        (SOUND, 0.2, None, None),
        (SOUND, 0.19, "on locality 19.0 % of the answers agree with the unedited model's", None),
        (replace(SOUND, passages=passages(79.0)), 1.0, None, None),
        (replace(SOUND, passages=passages(84.0)), 1.0, None, "the perplexity is 84, 2.1 times the unedited model's"),
        (replace(SOUND, passages=passages(396.0)), 1.0, None, "the perplexity is 396, 9.9 times the unedited model's"),
        (replace(SOUND, passages=passages(404.0)), 1.0, "the perplexity is 404, 10.1 times the unedited model's", None),
        (replace(SOUND, repeated=15), 1.0, None, None),
        (replace(SOUND, repeated=16), 1.0, "16 of 32 written answers are one token repeated", None),
        (
            replace(SOUND, passages=passages(math.nan), broken="the logits are not finite"),
            1.0,
            "the logits are not finite",
            None,
        ),
        (
            replace(SOUND, passages=passages(500.0), repeated=32),
            None,
            "the perplexity is 500, 12.5 times the unedited model's; 32 of 32 written answers are one token repeated",
            None,
        ),
    ],
)
def test_a_collapse_has_its_reasons_in_words(
    seen: Look, agreement: float | None, collapsed: str | None, warning: str | None
) -> None:
    state = judge(seen, SOUND, edits_applied=30, agreement=agreement, step=29)
    assert (state.collapsed, state.warning) == (collapsed, warning)
    assert (state.edits_applied, state.step, state.agreement) == (30, 29, agreement)
    assert state.perplexity_unedited == pytest.approx(40.0)
    assert state.repeated == seen.repeated / 32


def test_a_model_that_repeats_itself_before_any_edit_is_not_collapsed_by_that() -> None:
    random = replace(SOUND, repeated=32)
    assert judge(random, random, edits_applied=1).collapsed is None
