"""Another language model as SERAC's counterfactual model."""

from dataclasses import replace

import pytest
import torch
from serac_kit import ASK, AllNear, answers, editor, learn, llama, load, same

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.tiny import LAYERS
from mmke.editors.serac import replacement
from mmke.editors.serac.int8 import Int8Linear
from mmke.errors import UserError
from mmke.running.fingerprint import fingerprint
from mmke.types import PAPER, STRICT, Ask, EditCase, Switches


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
    chosen = {"counterfactual": where, "layers": layers}
    made = editor(backbone, encoder, train, switches, learning_rate=1e-3, scope_learning_rate=1e-3, **chosen)
    before = fingerprint(backbone.module)
    totals = learn(made, backbone, train[:1], 6)
    assert totals[-1] < totals[0]
    made.keys = AllNear()
    assert not same(
        answers(made, backbone, train[0].edits, train[0].probes, ASK), backbone.answer(train[0].probes, ASK)
    )
    answers(made, backbone, train[0].edits, train[0].probes, Ask(decode="generate", max_new=2))
    assert fingerprint(backbone.module) == before


def test_a_picture_is_encoded_once_for_both_models(
    llava: ComposedBackbone,
    encoder: str,
    train: tuple[EditCase, ...],
    cases: tuple[EditCase, ...],
    models: dict[str, str],
) -> None:
    made = editor(llava, encoder, train, PAPER, counterfactual=models["llama"])
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
    drawn = editor(blip2, encoder, train, PAPER, counterfactual=models["opt"])
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
    made = editor(llava, encoder, train, PAPER, counterfactual=models["llama"], held="int8")
    layers = made.counterfactual(llava).reader.module.get_submodule("language.model.layers")
    rounded = [any(isinstance(part, Int8Linear) for part in layer.modules()) for layer in layers]
    assert rounded == [True, False]
    assert learn(made, llava, train[:1], 6)[-1] < learn(made, llava, train[:1], 1)[0] + 1


def test_a_model_of_another_vocabulary_is_told(
    llava: ComposedBackbone, encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    with pytest.raises(UserError, match="the vocabulary has to be the same"):
        editor(llava, encoder, train, PAPER, counterfactual=models["foreign"])


def test_no_number_of_layers_is_the_whole_decoder(
    encoder: str, train: tuple[EditCase, ...], models: dict[str, str]
) -> None:
    blip2 = load("tiny-blip2")
    whole, last = editor(blip2, encoder, train, counterfactual=models["opt"], layers=0), editor(blip2, encoder, train)
    assert "embed_tokens" in " ".join(whole.networks().counterfactual.copies)
    assert all(f"layers/{LAYERS - 1}/" in name for name in last.networks().counterfactual.copies)
