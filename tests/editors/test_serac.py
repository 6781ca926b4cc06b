"""SERAC: the published arithmetic to the last figure, and under `strict` what its name promises."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, BertConfig, BertModel, BertTokenizer, LlamaConfig, OPTConfig

from mmke import registry
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.backbones.tiny import HIDDEN, LAYERS, VOCABULARY
from mmke.benchmarks.open import open_benchmark
from mmke.editors.serac import replacement
from mmke.editors.serac.counterfactual import behind
from mmke.editors.serac.edit import Serac, make
from mmke.editors.serac.int8 import Int8Linear
from mmke.editors.serac.mixture import aligned, soft
from mmke.editors.serac.scope import PublishedKeys, QuestionKeys, find_encoder, scope_loss
from mmke.editors.settings import resolve
from mmke.protocols import TrainableEditor
from mmke.running.fingerprint import fingerprint
from mmke.types import PAPER, STRICT, Answer, Ask, Edit, EditCase, Probe, Query, Switches, UserError

TINY = ("tiny-llava", "tiny-minigpt4", "tiny-blip2")
ASK = Ask(top=5, logprobs=True)
BASE = torch.tensor([[2.0, 0, 0], [0, 2, 0]])
OTHER = torch.tensor([[9.0, 0, 0], [0, 0, 5], [0, 0, 5]])
"""The first row is one more than the base has, and is to be left out."""
CACHED = Edit(Query("what is it"), "a red cat")


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


@pytest.fixture(scope="session", params=TINY)
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return load(request.param)


@pytest.fixture(scope="session")
def llava() -> ComposedBackbone:
    return load("tiny-llava")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random two-layer encoder of words, as a hub holds them."""
    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config)
        torch.nn.init.normal_(model.embeddings.word_embeddings.weight)
    model.save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return str(folder)


def records(data: Path, split: str) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=data).load(split, hop=1, switches=STRICT).cases  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return records(small_data, "train")


@pytest.fixture(scope="session")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return records(small_data, "eval")


def editor(
    backbone: ComposedBackbone, encoder: str, train: Sequence[EditCase], switches: Switches = STRICT, **changes: Any
) -> Serac:
    changes = {"encoder": encoder, "head": 8, "negatives": 2, "rate": 1e-2, "scope_rate": 1e-2, **changes}
    made = make(resolve("serac", backbone.name, changes), switches, train=train, seed=0)
    made.prepare(backbone, train, store=MemoryStore())
    return made


@pytest.fixture(autouse=True)
def _settings_beside_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is registered, its settings are found by what registering it will say."""
    if "serac" not in registry.names("editors"):
        known = {**registry.BUILT_IN["editors"], "serac": "mmke.editors.serac.edit:make"}
        monkeypatch.setitem(registry.BUILT_IN, "editors", known)  # type: ignore[arg-type]


def learn(made: Serac, backbone: ComposedBackbone, cases: Sequence[EditCase], times: int) -> list[float]:
    optimiser, _ = made.optimiser()
    totals = []
    store = MemoryStore()
    for _ in range(times):
        optimiser.zero_grad()
        found = [made.losses(backbone, case, store=store, learn=True)["total"] for case in cases]
        sum(found).backward()  # type: ignore[union-attr]
        optimiser.step()
        totals.append(sum(float(each.detach()) for each in found))
    return totals


def answers(made: Serac, backbone: ComposedBackbone, edits: Sequence[Edit], probes: Sequence[Probe], ask: Ask) -> Any:
    with made.open(backbone, MemoryStore()) as session:
        session.apply(edits)
        return session.answer(probes, ask)


def same(one: Sequence[Answer], other: Sequence[Answer]) -> bool:
    return all(
        a.token_ids == b.token_ids and np.array_equal(a.logprobs, b.logprobs)  # type: ignore[arg-type]
        for a, b in zip(one, other, strict=True)
    )


def similarity(distance: float) -> Tensor:
    return torch.tensor(math.exp(-distance))


class AllNear(QuestionKeys):
    """Keys under which everything is in scope."""

    def of_edit(self, edit: Edit) -> tuple[str, ...]:
        return ("x",)

    def of_probe(self, question: str, answer: str) -> str:
        return "x"


# The published arithmetic.


@pytest.mark.parametrize(("distance", "picked"), [(0.0, [2, 2]), (math.log(2), [2, 2]), (5.0, [0, 1]), (50.0, [0, 1])])
def test_the_mixture_goes_from_one_model_to_the_other(distance: float, picked: list[int]) -> None:
    assert soft(BASE, OTHER, similarity(distance)).argmax(-1).tolist() == picked


def test_the_mixture_half_way_has_the_published_values() -> None:
    half = soft(BASE, OTHER, similarity(math.log(2)))[1]
    torch.testing.assert_close(half, torch.tensor([-2.8721, -0.9243, -0.6040]), atol=5e-5, rtol=0)


def test_far_from_every_edit_the_mixture_is_the_base() -> None:
    torch.testing.assert_close(soft(BASE, OTHER, similarity(50.0)), BASE.log_softmax(-1), atol=2e-6, rtol=0)


def test_the_mixture_flips_where_a_soft_one_does() -> None:
    flip = 0.4097953
    below, above = (soft(BASE, OTHER, torch.tensor(flip + step))[1] for step in (-1e-5, 1e-5))
    assert (below.argmax().item(), above.argmax().item()) == (1, 2)


def test_rows_in_front_are_left_out() -> None:
    assert torch.equal(aligned(OTHER, 2), OTHER[1:])


def test_the_published_texts() -> None:
    keys = PublishedKeys("[SEP]")
    assert keys.of_edit(CACHED) == ("what is it a red[SEP]",)
    assert keys.of_probe("who ?", "me") == "who ? me"
    assert keys.of_probe("who ?", "") == "who ?"


def test_the_edit_stands_in_front_of_the_question() -> None:
    told = behind(CACHED, Probe("recall", Query("who ?"), "me"))
    assert f"{told.query.text} {told.target}" == "what is it a red cat who ? me"


def test_without_the_answer_a_probes_text_is_its_question() -> None:
    assert QuestionKeys().of_probe("who ?", "me") == "who ?"


def test_the_scope_loss_is_the_cross_entropy_of_similarities() -> None:
    inside, outside = torch.tensor([0.8, 0.6]), torch.tensor([0.3])
    expected = -(math.log(0.8) + math.log(0.6)) / 2 - math.log(0.7)
    assert float(scope_loss(inside.log(), outside.log())) == pytest.approx(expected, abs=1e-6)


def test_the_scope_loss_stays_finite_where_texts_are_one() -> None:
    zero = torch.zeros(1, requires_grad=True)
    loss = scope_loss(zero, zero)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert torch.isfinite(zero.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "frozen"])
def test_similarity_falls_with_the_squared_distance(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], *, trained: bool
) -> None:
    scope = editor(llava, encoder, train, encoder_trained=trained).networks().scope
    store = MemoryStore()
    one, other = scope.embed(["who ?"], store)[0], scope.embed(["a red cat"], store)[0]
    near = scope.nearest(["who ?"], [["a red cat"]], store).log_similarity.exp()
    torch.testing.assert_close(near[0], (-(one - other).square().sum()).exp(), rtol=1e-4, atol=0)
    assert scope.state_dict()["scale"].tolist() == [1.0]


def test_the_embedding_is_the_first_tokens_last_state(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    scope = editor(llava, encoder, train, encoder_trained=True, pooling="first", head=0).networks().scope
    model = BertModel.from_pretrained(encoder).eval()
    ids = BertTokenizer.from_pretrained(encoder)("a red cat", return_tensors="pt")
    torch.testing.assert_close(scope.embed(["a red cat"], MemoryStore()), model(**ids).last_hidden_state[:, 0])


def test_a_text_beyond_the_encoders_table_is_cut(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    scope = editor(llava, encoder, train).networks().scope
    assert torch.isfinite(scope.embed(["a b " * 600], MemoryStore())).all()


def test_of_two_edits_the_nearest_one_speaks(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train)
    near, far = Edit(Query("a red cat"), "tin"), Edit(Query("zzz 999"), "wood")
    probe = Probe("recall", Query("a red cat"), "tin")
    for edits in ([near, far], [far, near]):
        assert same(answers(made, llava, edits, [probe], ASK), answers(made, llava, [near], [probe], ASK))


# Sessions.


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
    answers(made, backbone, cases[0].edits, cases[0].probes, Ask(decode="greedy", max_new=2))
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
    ask = Ask(decode="greedy", max_new=3)
    edit, probes = cases[0].edits[0], cases[0].probes[:3]
    for switches in (STRICT, PAPER):
        made = editor(llava, encoder, train, switches, picture_head=0)
        made.keys = AllNear()
        alone = llava.answer([behind(edit, probe) for probe in probes], ask)
        assert [a.token_ids for a in answers(made, llava, [edit], probes, ask)] == [a.token_ids for a in alone]


def test_the_same_question_about_another_picture_is_farther_and_one_without_a_picture_is_not(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train)
    edit, elsewhere = cases[0].edits[0], next(probe for probe in cases[0].probes if probe.kind == "i_loc").query.image
    asked = [edit.query, replace(edit.query, image=elsewhere), replace(edit.query, image=None)]
    texts = [query.text for query in asked]
    near = made.nearest(backbone, texts, asked, [edit], store=MemoryStore()).log_similarity
    assert near[[0, 2]].abs().max() < 1e-9
    assert near[1] < -1e-6


def test_under_paper_pictures_are_not_compared(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    assert editor(llava, encoder, train, PAPER).networks().scope.picture_head is None


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


# Training.


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
def test_training_lowers_the_loss(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], switches: Switches, rank: int
) -> None:
    made = editor(backbone, encoder, train, switches, rank=rank)
    totals = learn(made, backbone, train[:2], 12)
    assert totals[-1] < totals[0]


def test_training_teaches_an_edit(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    made = editor(llava, encoder, train)
    learn(made, llava, train[:1], 40)
    recall = [probe for probe in train[0].probes if probe.kind in ("rephrase", "image_rephrase")]
    edited = answers(made, llava, train[0].edits, recall, ASK)
    assert [each.token_ids for each in edited] == [each.target_ids for each in edited]
    assert [each.token_ids for each in llava.answer(recall, ASK)] != [each.target_ids for each in edited]


def test_training_tells_what_is_in_scope(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    made = editor(llava, encoder, train)
    learn(made, llava, train[:1], 60)
    figures = made.losses(llava, train[0], store=MemoryStore(), learn=False)
    assert (float(figures["inside"]), float(figures["outside"])) == (1.0, 1.0)


def test_under_paper_nothing_is_learned_about_pictures_locality_or_scope(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train, PAPER)
    parts = {
        name: float(value.detach())
        for name, value in made.losses(llava, train[0], store=MemoryStore(), learn=True).items()
    }
    assert parts.keys() == {"total", "edit", "image_edit", "text"}
    assert parts["total"] == pytest.approx(0.1 * parts["edit"] + 0.1 * parts["image_edit"] + parts["text"], rel=1e-5)


def test_gradients_reach_all_that_is_trained(
    backbone: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    made = editor(backbone, encoder, train, encoder_trained=True, head=0)
    made.losses(backbone, train[0], store=MemoryStore(), learn=True)["total"].backward()
    assert [name for name, each in made.networks().named_parameters() if each.grad is None] == []


@pytest.mark.parametrize("rank", [0, 2])
def test_adopting_gives_the_same_answers(
    rank: int, llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    made = editor(llava, encoder, train, rank=rank)
    learn(made, llava, train[:1], 2)
    kept = {name: tensor.clone() for name, tensor in made.networks().state_dict().items()}
    other = make(made.settings.__dict__, STRICT, train=(), seed=1)
    other.adopt(llava, kept)
    edits, probes = cases[0].edits, cases[0].probes
    assert same(answers(made, llava, edits, probes, ASK), answers(other, llava, edits, probes, ASK))


def test_a_frozen_encoder_and_base_weights_are_not_saved(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    saved = editor(llava, encoder, train, rank=2).networks().state_dict()
    assert not [name for name in saved if "classifier" in name or "copies" in name]
    assert {name for name in saved if name.startswith("scope.")} == {
        "scope.scale",
        "scope.head.weight",
        "scope.head.bias",
        "scope.picture_head.weight",
        "scope.picture_head.bias",
    }
    assert all(f"layers/{LAYERS - 1}/" in name for name in saved if name.startswith("counterfactual."))


def test_tensors_of_another_rank_are_told(llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]) -> None:
    kept = editor(llava, encoder, train, rank=2).networks().state_dict()
    with pytest.raises(UserError, match="does not fit tiny-llava"):
        editor(llava, encoder, train, rank=3).adopt(llava, kept)


# Another language model.


def opt() -> Any:
    config = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=2048, dropout=0.0,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def llama(vocabulary: int = VOCABULARY) -> Any:
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    return AutoModelForCausalLM.from_config(config)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of small causal language models: one as wide as the tiny ones, one narrower, one of other tokens."""
    folders = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for name, model in {"llama": llama(), "opt": opt(), "foreign": llama(VOCABULARY + 1)}.items():
            folders[name] = str(tmp_path_factory.mktemp(name))
            model.save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
@pytest.mark.parametrize(("name", "layers"), [("llama", 1), ("opt", 0), ("random", 1)])
def test_another_language_model_can_be_the_counterfactual(
    backbone: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    models: dict[str, str],
    *,
    name: str,
    layers: int,
    switches: Switches,
) -> None:
    where = models.get(name, name)
    chosen = {"counterfactual": where, "published_counterfactual": where, "layers": layers}
    made = editor(backbone, encoder, train, switches, rate=1e-3, scope_rate=1e-3, **chosen)
    before = fingerprint(backbone.module)
    totals = learn(made, backbone, train[:1], 6)
    assert totals[-1] < totals[0]
    made.keys = AllNear()
    assert not same(
        answers(made, backbone, train[0].edits, train[0].probes, ASK), backbone.answer(train[0].probes, ASK)
    )
    answers(made, backbone, train[0].edits, train[0].probes, Ask(decode="greedy", max_new=2))
    assert fingerprint(backbone.module) == before


def test_a_picture_is_encoded_once_for_both_models(
    llava: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    cases: tuple[EditCase, ...],
    models: dict[str, str],
) -> None:
    made = editor(llava, encoder, train, PAPER, published_counterfactual=models["llama"])
    calls: list[int] = []
    handle = llava.module.get_submodule(llava.site("vision")).register_forward_hook(lambda *_: calls.append(1))
    try:
        answers(made, llava, cases[0].edits, cases[0].probes, ASK)
    finally:
        handle.remove()
    assert len(calls) == len({probe.query.image for probe in cases[0].probes} - {None})


def test_text_behind_a_prompt_without_a_beginning_gets_one(models: dict[str, str]) -> None:
    bare = load("tiny-minigpt4")
    reader = replacement.compose(bare, llama(), revision="x", embeddings="own", seed=0)
    begin = bare.prompt.tokenizer.bos_token_id
    assert (reader.prompt.frame(None), bare.prompt.frame(None)) == ((begin,), ())
    kept = load("tiny-llava")
    assert replacement.compose(kept, llama(), revision="x", embeddings="own", seed=0).prompt.frame(None) == (begin,)


def test_the_text_may_be_embedded_by_the_bases_table(llava: ComposedBackbone) -> None:
    model = llama()
    ids = torch.arange(5)
    own, base = (
        replacement.compose(llava, model, revision="x", embeddings=which, seed=0).decoder.embed(ids)
        for which in ("own", "base")
    )
    assert torch.equal(base, llava.decoder.embed(ids))
    assert not torch.equal(own, base)


def test_under_paper_a_projection_is_drawn_for_each_edit_and_under_strict_it_is_trained(
    encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    blip2 = load("tiny-blip2")
    drawn = editor(blip2, encoder, train, PAPER, published_counterfactual=models["opt"])
    model, other = drawn.counterfactual(blip2), replace(train[0].edits[0], target="another")
    one, again, two = (
        drawn.weights(model, edit)["projection.weight"] for edit in (train[0].edits[0], train[0].edits[0], other)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    trained = editor(blip2, encoder, train, counterfactual=models["opt"])
    begun = trained.weights(trained.counterfactual(blip2), other)["projection.weight"].detach().clone()
    learn(trained, blip2, train[:1], 2)
    assert not torch.equal(trained.weights(trained.counterfactual(blip2), other)["projection.weight"], begun)


def test_int8_keeps_frozen_layers_within_a_half_step(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    linear = torch.nn.Linear(8, 4)
    held = Int8Linear(linear)
    assert ((held.weight * held.scale - linear.weight).abs() <= held.scale / 2 + 1e-7).all()
    assert torch.equal(Int8Linear(linear, on_host=True)(torch.eye(8)), held(torch.eye(8)))
    made = editor(llava, encoder, train, PAPER, published_counterfactual=models["llama"], held="int8")
    layers = made.counterfactual(llava).reader.module.get_submodule("language.model.layers")
    rounded = [any(isinstance(part, Int8Linear) for part in layer.modules()) for layer in layers]
    assert rounded == [True, False]
    assert learn(made, llava, train[:1], 6)[-1] < learn(made, llava, train[:1], 1)[0] + 1


# Checkpoints of the published code.


def test_a_published_checkpoint_comes_in(
    llava: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    cases: tuple[EditCase, ...],
    models: dict[str, str],
) -> None:
    changes = {"encoder_trained": True, "head": 0, "published_counterfactual": models["llama"], "embeddings": "base"}
    made = editor(llava, encoder, train, PAPER, **changes)
    learn(made, llava, train[:1], 1)
    own = made.networks().state_dict()
    published = {
        name.replace("counterfactual.copies.language/", "replacement.").replace("scope.", "").replace("/", "."): tensor
        for name, tensor in own.items()
    }
    published |= {"scale": torch.tensor(1.0), "language_projection.weight": torch.zeros(2, 2)}
    other = editor(llava, encoder, train, PAPER, **changes)
    other.adopt(llava, other.translate(published))
    said = [answers(each, llava, cases[0].edits, cases[0].probes, ASK) for each in (made, other)]
    assert "replacement.model.layers.1.mlp.up_proj.weight" in published
    assert same(*said)


def test_a_published_checkpoint_of_another_editor_is_told(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...]
) -> None:
    with pytest.raises(UserError, match="'edit_lrs' is no tensor of SERAC's"):
        editor(llava, encoder, train, PAPER).translate({"edit_lrs": torch.zeros(6)})


@pytest.mark.parametrize("name", ["llama", "random"])
def test_a_checkpoint_is_held_against_a_skeleton(
    name: str, llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    made = editor(llava, encoder, train, PAPER, published_counterfactual=models.get(name, name))
    bare = replace(llava, module=copy.deepcopy(llava.module).to("meta"))
    parts = {"model": bare.module.get_submodule("model.language_model"), "head": bare.module.get_submodule("lm_head")}
    bare = replace(bare, decoder=replace(llava.decoder, layers=parts["model"].layers, **parts))  # type: ignore[arg-type]
    kept = made.networks().state_dict()
    made.adopt(bare, kept)
    with pytest.raises(UserError, match="does not fit"):
        made.adopt(bare, {name: tensor for name, tensor in kept.items() if "up_proj" not in name})


# Mistakes.


def test_a_model_of_another_vocabulary_is_told(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    with pytest.raises(UserError, match="the vocabulary has to be the same"):
        editor(llava, encoder, train, PAPER, published_counterfactual=models["foreign"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rate": 0.0, "rank": -1}, "rank = -1.*rate = 0.0"),
        ({"head": 0, "encoder_trained": False}, "leave nothing"),
        ({"pooling": "last"}, "pooling = 'last'"),
    ],
)
def test_mistakes_are_told_before_weights_are_read(encoder: str, changes: dict[str, Any], told: str) -> None:
    values = resolve("serac", "tiny-llava", {"encoder": encoder, **changes})
    with pytest.raises(UserError, match=told):
        make(values, STRICT, train=(), seed=0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoder": "no/such-encoder"}, "there is no 'no/such-encoder'"),
        ({"counterfactual": "no/such-model"}, "there is no counterfactual model 'no/such-model'"),
    ],
)
def test_a_model_that_is_not_there_is_told_on_a_skeleton(encoder: str, changes: dict[str, Any], told: str) -> None:
    made = make(resolve("serac", "tiny-llava", {"encoder": encoder, **changes}), STRICT, train=(), seed=0)
    skeleton = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu"), skeleton=True
    )
    with pytest.raises(UserError, match=told):
        made.check(skeleton)


def test_more_layers_than_there_are_is_told(llava: ComposedBackbone, encoder: str) -> None:
    made = make(resolve("serac", "tiny-llava", {"encoder": encoder, "layers": LAYERS + 1}), STRICT, train=(), seed=0)
    with pytest.raises(UserError, match="decoder layers"):
        made.check(llava)


def test_without_networks_it_asks_to_be_trained(llava: ComposedBackbone, encoder: str) -> None:
    made = make(resolve("serac", "tiny-llava", {"encoder": encoder}), STRICT, train=(), seed=0)
    with pytest.raises(UserError, match="mmke train serac"), made.open(llava, MemoryStore()):
        pass


def test_the_packaged_encoder_is_found() -> None:
    assert (find_encoder("all-MiniLM-L6-v2") / "config.json").is_file()
