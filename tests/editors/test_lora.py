"""LoRA: the formula on numbers, the PEFT library's own training beside ours, where it stops, what a later edit does."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import call_with, dense
from mmke.editing import sites
from mmke.editing.adapter import write_adapter
from mmke.editing.settings import resolve
from mmke.editors.lora.edit import LoRA, Pair
from mmke.errors import CannotAskError, UserError
from mmke.protocols import VISION, Cut, LowRankUpdate, Weights
from mmke.types import STRICT, Ask, Edit, EditCase, Query

RATE = 1e-2
peft_reads = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
"""The library asks the model by a name that transformers renames."""
TEXT = Edit(Query("Which flag is it?"), "a flag of Peru")


@pytest.fixture(params=["tiny-llava", pytest.param("tiny-blip2", marks=pytest.mark.slow)])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    name = request.param
    return registry.factory("backbones", name)(name=name, dtype=torch.float32, device=torch.device("cpu"))


def make(backbone: ComposedBackbone, **changes: Any) -> LoRA:
    settings = {**resolve("lora", backbone.name, {}), "steps": 3, "stop": 0.0, "learning_rate": RATE, **changes}
    editor: LoRA = registry.factory("editors", "lora")(settings, STRICT, train=(), seed=0)
    return editor


def after(editor: LoRA, backbone: ComposedBackbone, *batches: list[Edit]) -> Weights:
    with editor.open(backbone, MemoryStore()) as session:
        for batch in batches:
            session.apply(batch)
        weights: Weights = session.weights  # type: ignore[attr-defined]
    return weights


def loss_of(backbone: ComposedBackbone, edit: Edit, weights: Weights) -> float:
    batch = backbone.encode([edit.query], [edit.target], Ask())
    logits = backbone.tail(backbone.trunk(batch, VISION, store=MemoryStore()), weights)
    return float(cross_entropy(logits.float(), torch.tensor(batch.encoded[0].target_ids)))


def equal(one: Weights, other: Weights) -> bool:
    pairs = [(one[name], other[name]) for name in one]
    return one.keys() == other.keys() and all(
        torch.equal(a.inputs, b.inputs) and torch.equal(a.outputs, b.outputs)  # type: ignore[union-attr]
        for a, b in pairs
    )


def test_the_product_is_scaled_and_added_to_what_the_linear_hands_on() -> None:
    linear, fed = nn.Linear(2, 2), torch.tensor([[3.0, 1.0]])
    pair = Pair(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0], [0.0]]))
    edited = call_with(linear, {"weight": pair.update(2.0)}, linear, fed)
    torch.testing.assert_close(edited - linear(fed), torch.tensor([[12.0, 0.0]]))


def test_before_any_step_no_bit_of_an_answer_differs(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    ask, probes = Ask(top=10, logprobs=True), cases[0].probes
    for named in (["language.*.mlp_out", "language.-1.mlp_in"], ["alignment.linears"]):
        with make(backbone, steps=0, sites=named).open(backbone, MemoryStore()) as session:
            before = session.answer(probes, ask)
            session.apply(cases[0].edits)
            said = session.answer(probes, ask)
        assert all((one.logprobs == other.logprobs).all() for one, other in zip(before, said, strict=True))


@peft_reads
@pytest.mark.parametrize("place", ["-1", pytest.param("*", marks=pytest.mark.slow)])
def test_the_librarys_own_layers_learn_the_same_adapter_and_load_it(
    backbone: ComposedBackbone, tmp_path: Path, place: str
) -> None:
    named = [f"language.{place}.mlp_out", f"language.{place}.mlp_in"]
    begun, done = (after(make(backbone, sites=named, steps=steps), backbone, [TEXT]) for steps in (0, 3))
    write_adapter(tmp_path / "begun", backbone, begun, scale=2.0)
    write_adapter(tmp_path / "done", backbone, done, scale=2.0)
    theirs = PeftModel.from_pretrained(copy.deepcopy(backbone.module), tmp_path / "begun", is_trainable=True)
    encoded = backbone.encode([TEXT.query], [TEXT.target], Ask()).encoded[0]
    ids, target = torch.tensor([encoded.input_ids]), torch.tensor(encoded.target_ids)
    own = nn.ModuleDict({"language": theirs.get_submodule(f"base_model.model.{backbone.decoder_name}")})
    head = backbone.decoder.head

    def logits(model: nn.Module) -> Tensor:
        hidden = model.get_submodule("language")(inputs_embeds=backbone.decoder.embed(ids)).last_hidden_state
        return head(hidden)[0, list(encoded.rows)]  # type: ignore[no-any-return]

    trained = [each for each in theirs.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(logits(own), target).backward()
        optimizer.step()
    for name, update in done.items():
        linear = theirs.get_submodule(f"base_model.model.{name.removesuffix('.weight')}")
        change = linear.get_delta_weight("default").detach()  # type: ignore[operator]
        # Adam's first steps move every number by about the rate, however small its gradient: compare on that scale.
        assert (change - update.product()).abs().max() < 0.05 * change.abs().max()  # type: ignore[union-attr]
    loaded = PeftModel.from_pretrained(copy.deepcopy(backbone.module), tmp_path / "done")
    theirs_done = nn.ModuleDict({"language": loaded.get_submodule(f"base_model.model.{backbone.decoder_name}")})
    ours = backbone.tail(
        backbone.trunk(backbone.encode([TEXT.query], [TEXT.target], Ask()), VISION, store=MemoryStore()), done
    )
    torch.testing.assert_close(logits(theirs_done), ours, rtol=1e-5, atol=1e-5)


def test_training_ends_where_the_loss_is_below_the_stop(backbone: ComposedBackbone) -> None:
    after_two = after(make(backbone, steps=2), backbone, [TEXT])
    after_one = after(make(backbone, steps=1), backbone, [TEXT])
    losses = [loss_of(backbone, TEXT, weights) for weights in ({}, after_one, after_two)]
    assert losses == sorted(losses, reverse=True)
    between = (losses[1] + losses[2]) / 2
    assert equal(after(make(backbone, steps=9, stop=between), backbone, [TEXT]), after_two)
    nothing = after(make(backbone, steps=9, stop=losses[0] + 1), backbone, [TEXT])
    assert all(not each.outputs.any() for each in nothing.values())  # type: ignore[union-attr]


def test_a_later_edit_trains_the_same_adapter_on(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    first, both = (after(make(backbone), backbone, *batches) for batches in ([[TEXT]], [[TEXT], [*cases[0].edits]]))
    for name, update in both.items():
        assert isinstance(update, LowRankUpdate)
        assert len(update.inputs) == 16
        moved = (update.inputs - first[name].inputs).abs().max()  # type: ignore[union-attr]
        assert 0 < moved < 3.1 * RATE


def test_merged_adapters_add_up_and_are_multiplied_out_when_they_outgrow_the_matrix(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    other = [cases[0].edits[0]]
    editor = make(backbone, sequence="merge", rank=4)
    first, both = after(editor, backbone, [TEXT]), after(editor, backbone, [TEXT], other)
    for name, update in both.items():
        assert isinstance(update, LowRankUpdate)
        assert torch.equal(update.inputs[:4], first[name].inputs)  # type: ignore[union-attr]
        assert torch.equal(update.outputs[:4], first[name].outputs)  # type: ignore[union-attr]
        assert not torch.equal(update.inputs[4:], update.inputs[:4])
    large = make(backbone, sequence="merge", rank=64)
    grown = after(large, backbone, [TEXT], other, [TEXT])
    assert all(isinstance(each, Tensor) for each in grown.values())
    assert loss_of(backbone, TEXT, grown) < loss_of(backbone, TEXT, {})


def test_the_adapter_is_drawn_within_its_bound_by_seed_matrix_and_edit(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = make(backbone, steps=0)
    one, again, other = (after(editor, backbone, [edit]) for edit in (TEXT, TEXT, cases[0].edits[0]))
    assert equal(one, again)
    assert not equal(one, other)
    for update in one.values():
        drawn = update.inputs  # type: ignore[union-attr]
        assert 0.9 < drawn.abs().max() * drawn.shape[1] ** 0.5 <= 1


def test_alignment_linears_are_its_matrices_and_leave_text_alone(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = make(backbone, sites=["alignment.linears"])
    weights = after(editor, backbone, [*cases[0].edits])
    where = backbone.site("alignment")
    linears = {
        f"{where}.{name}.weight"
        for name, each in backbone.module.get_submodule(where).named_modules()
        if isinstance(each, nn.Linear)
    }
    assert weights.keys() == linears
    assert all(each.outputs.any() for each in weights.values())  # type: ignore[union-attr]
    with editor.open(backbone, MemoryStore()) as session, pytest.raises(CannotAskError, match="lora edits what reads"):
        session.apply([TEXT])


def test_the_projector_and_the_language_model_are_edited_together(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    named = ["language.-1.mlp_out", "alignment.linears"]
    weights = after(make(backbone, sites=named), backbone, [*cases[0].edits])
    assert list(weights) == sites.parameters(backbone, named)
    assert all(each.outputs.any() for each in weights.values())  # type: ignore[union-attr]


def test_every_layer_lies_above_the_cut(backbone: ComposedBackbone) -> None:
    assert len(sites.parameters(backbone, ["language.*.mlp_in"])) == backbone.layers
    assert sites.cut_below(backbone, ["language.-1.q_proj", "language.*.mlp_in"]) == Cut("mlp", 0)
    assert sites.cut_below(backbone, ["language.*.q_proj", "language.0.mlp_in"]) == Cut("layer", 0)
    assert sites.cut_below(backbone, ["language.*.q_proj", "alignment.linears"]) == VISION


def test_biases_have_no_adapter(backbone: ComposedBackbone) -> None:
    with pytest.raises(UserError, match=r"which has biases too; .* name 'alignment\.linears'"):
        make(backbone, sites=["alignment"])


def test_only_low_rank_edits_are_written_as_an_adapter(backbone: ComposedBackbone, tmp_path: Path) -> None:
    own = sites.tensors(backbone, ["language.-1.mlp_out"])
    for weights, told in ((own, "is a full tensor"), ({}, "nothing is edited")):
        with pytest.raises(UserError, match=told):
            write_adapter(tmp_path, backbone, weights)


@peft_reads
def test_adapters_of_several_ranks_are_written_with_their_own(backbone: ComposedBackbone, tmp_path: Path) -> None:
    own = sites.tensors(backbone, ["language.-1.mlp_out", "language.-2.mlp_in"])
    torch.manual_seed(0)
    weights = {
        name: LowRankUpdate(torch.randn(rank, each.shape[1]), torch.randn(rank, len(each)))
        for rank, (name, each) in enumerate(own.items(), start=2)
    }
    write_adapter(tmp_path, backbone, weights)
    merged = PeftModel.from_pretrained(copy.deepcopy(backbone.module), tmp_path).merge_and_unload()
    for name, update in weights.items():
        torch.testing.assert_close(merged.get_parameter(name), dense(own[name], update), rtol=1e-5, atol=1e-5)
