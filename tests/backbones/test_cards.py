"""A model over two cards: what lies where, what is brought from card to card, and that its bits are those of one."""

from collections.abc import Iterator

import pytest
import torch
from second_card import FIRST, SECOND, TwoCards, two_cards
from transformers import LlamaConfig, LlamaForCausalLM

from grid import first_quick
from mmke import registry
from mmke.backbones.engine.cards import Names, lay, places
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import InMachine, MemoryStore
from mmke.errors import UserError
from mmke.protocols import Cut
from mmke.running.fingerprint import fingerprint
from mmke.types import Ask, Query

NAMES = Names("model", "lm_head")
META = (FIRST, torch.device("meta"))
ASKED = [Query("What is it?"), Query("What is it not, and why?")]


@pytest.fixture
def cards() -> Iterator[TwoCards]:
    with two_cards() as made:
        yield made


def language_model(*, tied: bool, layers: int = 4) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM(config).requires_grad_(requires_grad=False).eval()
    model.tie_weights()
    return model


def loaded(name: str, *cards: torch.device) -> ComposedBackbone:
    made: ComposedBackbone = registry.factory("backbones", name)(
        name=name, dtype=torch.float32, device=FIRST, cards=cards
    )
    return made


def test_consecutive_layers_lie_on_each_card_and_what_follows_them_on_the_last() -> None:
    place = places(language_model(tied=False), NAMES, META)
    assert [place(f"model.layers.{i}.mlp.up_proj.weight").type for i in range(4)] == ["cpu", "cpu", "meta", "meta"]
    assert [place(name).type for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")] == [
        "cpu",
        "meta",
        "meta",
    ]


def test_a_head_that_shares_the_embeddings_stays_with_them() -> None:
    model = language_model(tied=True)
    with two_cards():
        lay(model, NAMES, (FIRST, SECOND))
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert model.lm_head.weight.device == FIRST
        assert model.model.norm.weight.device == SECOND


def test_more_cards_than_layers_are_refused() -> None:
    with pytest.raises(UserError, match="2 cards for 1 decoder layers: name fewer cards"):
        places(language_model(tied=False, layers=1), NAMES, META)


@pytest.mark.parametrize("tied", [False, True])
def test_the_whole_model_answers_as_on_one_card(tied: bool, cards: TwoCards) -> None:  # noqa: FBT001
    model, ids = language_model(tied=tied), torch.arange(9)[None]
    with torch.no_grad():
        alone, before = model(ids).logits, fingerprint(model)
        lay(model, NAMES, (FIRST, SECOND))
        again = model(ids).logits
    assert again.device == (FIRST if tied else SECOND)
    assert torch.equal(again.cpu(), alone)
    assert fingerprint(model) == before


def test_what_all_layers_are_given_is_brought_once(cards: TwoCards) -> None:
    counts = []
    for layers in (4, 12):
        model = language_model(tied=False, layers=layers)
        lay(model, NAMES, (FIRST, SECOND))
        before = cards.brought
        with torch.no_grad():
            model(torch.arange(9)[None])
        counts.append(cards.brought - before)
    assert counts[0] == counts[1]


def test_a_tensor_of_each_card_cannot_be_read_at_once(cards: TwoCards) -> None:
    there = torch.ones(2).to(SECOND)
    with pytest.raises(RuntimeError, match="reads tensors of two cards"):
        there + torch.ones(2)
    assert cards.brought == 1


@pytest.mark.parametrize("name", first_quick(["tiny-llava", "tiny-blip2", "tiny-minigpt4", "smol-llava"]))
def test_a_state_at_a_cut_lies_on_the_card_that_goes_on_from_it(name: str, cards: TwoCards) -> None:
    one, two = loaded(name, FIRST), loaded(name, FIRST, SECOND)
    batches = [each.encode(ASKED, ["a cat", "a dog"], Ask()) for each in (one, two)]
    for cut in (Cut("layer", 1), Cut("layer", two.layers - 1), Cut("mlp", 1), Cut("mlp", two.layers - 1)):
        trunks = [each.trunk(batch, cut, store=MemoryStore()) for each, batch in zip((one, two), batches, strict=True)]
        layer = two.decoder.layers[cut.layer or 0]
        assert trunks[1].hidden[0].device == next(layer.parameters()).device
        with torch.no_grad():
            logits = [each.tail(trunk, {}) for each, trunk in zip((one, two), trunks, strict=True)]
        assert logits[1].device == batches[1].order.device
        assert torch.equal(logits[0], logits[1].cpu())


def test_from_memory_each_tensor_comes_back_to_its_card(cards: TwoCards) -> None:
    store = InMachine(MemoryStore())
    store.put(("a",), (torch.ones(2), {"there": torch.ones(3).to(SECOND)}))
    here, there = store.find(("a",))
    assert here.device == FIRST
    assert there["there"].device == SECOND
