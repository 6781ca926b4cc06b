"""In-context editing: which demonstrations, in which words, and what happens when they do not fit."""

from dataclasses import replace
from math import cos, radians, sin
from pathlib import Path

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.probes.published import T_LOC
from mmke.editing.sentence_encoder import SentenceEncoder, encoder_path
from mmke.editing.settings import resolve
from mmke.editors.ike.edit import InContextSession
from mmke.editors.ike.retrieval import Nearest, Random, sentences
from mmke.errors import CannotAskError, UserError
from mmke.running.asking import ask
from mmke.running.metrics import make_metrics
from mmke.types import (
    PAPER,
    STRICT,
    Ask,
    EditCase,
    Probe,
    Query,
    Switches,
)

CORPUS = ["zero", "ten", "eighty", "ninety"]
ANGLES = {"zero": 0, "ten": 10, "eighty": 80, "ninety": 90, "query": 4}


@pytest.fixture(scope="module")
def backbone() -> ComposedBackbone:
    return load("tiny-llava")


@pytest.fixture
def train(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases


@pytest.fixture
def case(small_data: Path) -> EditCase:
    return open_benchmark("mmke-user", data=small_data).load("eval", hop=1, switches=STRICT).cases[0]


def load(name: str) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=torch.float32, device=torch.device("cpu"))


def session_of(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], count: int, switches: Switches = STRICT
) -> InContextSession:
    editor = registry.factory("editors", "ike-random")(
        resolve("ike-random", backbone.name, {"demonstrations": count}, protocol=switches.protocol),
        switches,
        train=train,
        seed=0,
    )
    return editor.session(backbone, MemoryStore())


def prompts(session: InContextSession, case: EditCase) -> list[Probe]:
    session.apply(case.edits)
    return [session._prompt(probe, 0)[0] for probe in case.probes]


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_the_nearest_by_angle_are_chosen_whatever_their_length(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    class Encoder:
        def encode(self, texts: list[str], **_: object) -> torch.Tensor:
            angles = [radians(ANGLES[text]) for text in texts]
            return torch.tensor([[cos(a) * scale, sin(a) * scale] for a in angles])

    monkeypatch.setattr(SentenceEncoder, "_model", Encoder())
    assert Nearest(CORPUS, 2, SentenceEncoder("all-MiniLM-L6-v2")).choose("query") == ["zero", "ten"]


def test_the_real_encoder_finds_the_sentence_that_means_the_same() -> None:
    corpus = ["The capital of France is Paris.", "My cat likes fish.", "Two plus two is four."]
    assert Nearest(corpus, 1, SentenceEncoder("all-MiniLM-L6-v2")).choose("A kitten enjoys eating tuna.") == [corpus[1]]


def test_a_training_record_gives_three_sentences_in_order(train: tuple[EditCase, ...]) -> None:
    head = "New Fact: What is shown? a tin lid of number 0\nPrompt: "
    assert sentences(train[0]) == [
        f"{head}What is shown? a tin lid of number 0\n\n",
        f"{head}Which thing is this? a tin lid of number 0\n\n",
        f"{head}What is the capital of France? Paris\n\n",
    ]


def test_a_prompt_is_demonstrations_own_sentence_fact_question(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], case: EditCase
) -> None:
    fact = "New Fact: What is shown? a tin lid of number 2\nPrompt: "
    own = f"{fact}What is shown? a tin lid of number 2\n\n"
    bare = prompts(session_of(backbone, train, 0), case)
    assert bare[0].query.text == f"{own}{fact}What is shown?"
    behind = prompts(session_of(backbone, train, 2), case)
    assert behind[0].query.text.endswith(f"\n\n{own}{fact}What is shown?")
    assert behind[0].query.text.count("New Fact: ") == 4
    assert [p.query.image for p in behind] == [p.query.image for p in case.probes]


def test_random_demonstrations_depend_on_seed_and_edit_alone() -> None:
    corpus = [str(i) for i in range(100)]
    draw = Random(corpus, 5, seed=1).choose("edit")
    assert draw == Random(corpus, 5, seed=1).choose("edit")
    assert draw != Random(corpus, 5, seed=2).choose("edit")
    assert draw != Random(corpus, 5, seed=1).choose("another edit")
    assert len(set(draw)) == 5


def test_beyond_the_context_the_farthest_demonstrations_go(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], case: EditCase
) -> None:
    short = replace(backbone, decoder=replace(backbone.decoder, config=_with_limit(backbone, 400)))
    session = session_of(short, train, 9)
    session.apply(case.edits)
    answer = session.answer(case.probes[:1], Ask())[0]
    assert answer.notes["context_tokens"] <= 400
    assert 1 < answer.notes["demonstrations"] < 10
    kept = answer.notes["demonstrations"] - 1
    demonstrations = session.memory.notes[0].demonstrations
    assert session._prompt(case.probes[0], 0)[0].query.text.startswith("".join(demonstrations[:kept]))


def test_on_paper_a_rotary_model_runs_on_and_says_how_far(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], case: EditCase
) -> None:
    short = replace(backbone, decoder=replace(backbone.decoder, config=_with_limit(backbone, 400)))
    session = session_of(short, train, 9, PAPER)
    session.apply(case.edits)
    assert session.answer(case.probes[:1], Ask())[0].notes["context_tokens"] > 400


@pytest.mark.parametrize("demonstrations", [0, 9])
def test_where_not_even_the_edit_fits_nothing_is_asked(
    demonstrations: int, backbone: ComposedBackbone, train: tuple[EditCase, ...], case: EditCase
) -> None:
    short = replace(backbone, decoder=replace(backbone.decoder, config=_with_limit(backbone, 60)))
    session = session_of(short, train, demonstrations)
    session.apply(case.edits)
    with pytest.raises(CannotAskError, match=r"positions and tiny-llava holds 60; no demonstration is left to drop"):
        session.answer(case.probes[:1], Ask())
    heard = ask(session, case, make_metrics(STRICT, generate=False))
    assert {each.reason is None for each in heard.values()} == {False}


def test_on_paper_a_table_of_positions_is_an_error(train: tuple[EditCase, ...], case: EditCase) -> None:
    backbone = load("tiny-blip2")
    short = replace(backbone, decoder=replace(backbone.decoder, config=_with_limit(backbone, 400)))
    session = session_of(short, train, 9, PAPER)
    session.apply(case.edits)
    with pytest.raises(UserError, match="holds 400"):
        session.answer(case.probes[:1], Ask())


@pytest.mark.parametrize(("switches", "on_edit_image"), [(STRICT, False), (PAPER, True)], ids=["strict", "paper"])
def test_the_users_portability_picture(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], case: EditCase, switches: Switches, *, on_edit_image: bool
) -> None:
    asked = prompts(session_of(backbone, train, 0, switches), case)[-1]
    assert asked.kind.name == "port"
    assert (asked.query.image == case.edits[0].query.image) == on_edit_image
    session = session_of(backbone, train, 0, switches)
    session.apply(case.edits)
    named = [answer.image for answer in session.answer(case.probes, Ask())]
    assert named == [*[None] * (len(named) - 1), case.edits[0].query.image if on_edit_image else None]


@pytest.mark.parametrize("kind", ["visual", "entity"])
def test_other_kinds_keep_their_portability_picture_on_paper_too(
    kind: str, backbone: ComposedBackbone, train: tuple[EditCase, ...], small_data: Path
) -> None:
    case = open_benchmark(f"mmke-{kind}", data=small_data).load("eval", hop=1, switches=PAPER).cases[0]
    asked = prompts(session_of(backbone, train, 0, PAPER), case)[-1]
    assert asked.query.image == case.probes[-1].query.image


def test_no_training_records_are_refused() -> None:
    with pytest.raises(UserError, match="demonstrations from training records"):
        registry.factory("editors", "ike-random")(resolve("ike-random", "tiny-llava", {}), STRICT, train=(), seed=0)


def test_before_the_edit_there_is_no_header(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], case: EditCase
) -> None:
    session = session_of(backbone, train, 2)
    assert session.answer(case.probes, Ask())[0].notes == {}
    assert session.answer([Probe(T_LOC, Query("a"), "b")], Ask())[0].token_ids == (
        backbone.answer([Probe(T_LOC, Query("a"), "b")], Ask())[0].token_ids
    )


def _with_limit(backbone: ComposedBackbone, limit: int) -> object:
    config = type(backbone.decoder.config)(**backbone.decoder.config.to_dict())
    config.max_position_embeddings = limit
    return config


@pytest.mark.parametrize("name", ["ike", "ike-random"])
def test_a_negative_count_of_demonstrations_is_refused(name: str, train: tuple[EditCase, ...]) -> None:
    values = resolve(name, "tiny-llava", {"demonstrations": -1})
    with pytest.raises(UserError, match=rf"settings of {name}: demonstrations = -1; it counts from 0 up"):
        registry.factory("editors", name)(values, STRICT, train=train, seed=0)


@pytest.mark.parametrize("name", ["", ".", "all-MiniLM"])
def test_what_holds_no_sentence_encoder_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is neither a folder with a sentence-transformers model"):
        encoder_path(name)
