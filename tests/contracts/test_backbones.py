"""What every backbone promises: a cut changes nothing, company changes nothing, and decoding is greedy."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from mmke.backbones.engine import packing
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import HostStore, MemoryStore
from mmke.protocols import INPUTS, OUTPUT, VISION, Backbone, Batch, Cut, Encoded
from mmke.types import Ask, EditCase, ImageRef, Probe

CUTS = [VISION, INPUTS, *(Cut(p, layer) for p, layer in product(("layer", "mlp"), (0, 2, -1))), OUTPUT]
ASKS = [Ask(), Ask(labels="alone", positions="all")]


def encode(backbone: Backbone, probes: tuple[Probe, ...], ask: Ask) -> Batch:
    return backbone.encode([probe.query for probe in probes], [probe.target for probe in probes], ask)


def separate_logits(backbone: ComposedBackbone, encoded: Encoded, slots: Tensor) -> Tensor:
    """Run the language model in the ordinary way: one query, causal attention, no mask of ours, no cut."""
    embeds = backbone.decoder.embed(torch.tensor([max(key, 0) for key in encoded.keys]))
    embeds = torch.stack(
        [slots[-1 - key] if key < 0 else embed for key, embed in zip(encoded.keys, embeds, strict=True)]
    )
    places = None if encoded.places is None else torch.tensor(encoded.places).T[:, None]
    read = backbone.decoder.model(inputs_embeds=embeds[None], position_ids=places, use_cache=False)
    hidden = read.last_hidden_state[0]
    return backbone.decoder.head(hidden)[list(encoded.rows)]


def test_it_keeps_the_protocol(backbone: ComposedBackbone) -> None:
    assert isinstance(backbone, Backbone)


@pytest.mark.parametrize("ask", ASKS, ids=["answer rows", "all rows"])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_every_cut_gives_the_whole_models_bits(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], store: MemoryStore, cut: Cut, ask: Ask
) -> None:
    batch = encode(backbone, cases[0].probes, ask)
    whole = backbone.tail(backbone.trunk(batch, INPUTS, store=store), {})
    cut_here = backbone.tail(backbone.trunk(batch, cut, store=store), {})
    if cut == Cut("mlp", -1):  # the last MLP sees the wanted rows alone, so that its shapes are not the whole model's
        assert torch.equal(cut_here.argmax(-1), whole.argmax(-1))
        torch.testing.assert_close(cut_here.log_softmax(-1), whole.log_softmax(-1), rtol=0, atol=1e-5)
    else:
        assert torch.equal(cut_here, whole)


@pytest.mark.parametrize("ask", ASKS, ids=["answer rows", "all rows"])
@torch.no_grad()
def test_a_pack_answers_as_separate_passes_do(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], store: MemoryStore, ask: Ask
) -> None:
    batch = encode(backbone, cases[0].probes, ask)
    packed = backbone.tail(backbone.trunk(batch, OUTPUT, store=store), {})
    slots = backbone.vision.align(backbone.trunk(batch, VISION, store=store).features)
    separate = torch.cat([separate_logits(backbone, encoded, slots) for encoded in batch.encoded])
    assert torch.equal(packed.argmax(-1), separate.argmax(-1))
    torch.testing.assert_close(packed.log_softmax(-1), separate.log_softmax(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("chain", [4, 256])
def test_pictures_in_one_pack_answer_as_in_packs_of_their_own(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], monkeypatch: pytest.MonkeyPatch, chain: int
) -> None:
    probes, asks, make = cases[0].probes, [Ask(top=5), Ask(decode="generate", max_new=3)], packing.make_batch
    groups = [[probe for probe in probes if probe.query.image == image] for image in images(probes)]
    apart = [[backbone.answer(group, ask) for group in groups] for ask in asks]
    monkeypatch.setattr(packing, "LONG_CHAIN", chain)
    monkeypatch.setattr(packing, "make_batch", lambda *given, limit, device: make(*given, limit=10000, device=device))
    (pack,) = encode(backbone, probes, Ask()).packs
    assert len(pack.blocks) == len(images(probes)) > 2
    for ask, separate in zip(asks, apart, strict=True):
        together = backbone.answer(probes, ask)
        for image, answers in zip(images(probes), separate, strict=True):
            own = [answer for probe, answer in zip(probes, together, strict=True) if probe.query.image == image]
            assert [answer.token_ids for answer in own] == [answer.token_ids for answer in answers]
            logprobs = [[answer.target_logprob for answer in some] for some in (own, answers)]
            np.testing.assert_allclose(*logprobs, atol=1e-5)


def images(probes: tuple[Probe, ...]) -> list[ImageRef | None]:
    return list(dict.fromkeys(probe.query.image for probe in probes))


def test_company_does_not_change_an_answer(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    ask, probes = Ask(top=5, logprobs=True), cases[0].probes
    for alone, among in zip((backbone.answer([p], ask)[0] for p in probes), backbone.answer(probes, ask), strict=True):
        assert alone.token_ids == among.token_ids
        np.testing.assert_array_equal(alone.top_ids, among.top_ids)
        np.testing.assert_allclose(alone.logprobs, among.logprobs, atol=1e-5)


def test_order_does_not_change_an_answer(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    probes = cases[0].probes
    forward, backward = backbone.answer(probes, Ask()), backbone.answer(probes[::-1], Ask())[::-1]
    assert [a.token_ids for a in forward] == [a.token_ids for a in backward]


def test_decoding_takes_the_most_probable_token_each_time(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    probes = cases[0].probes
    for probe, answer in zip(probes, backbone.answer(probes, Ask(decode="generate", max_new=6)), strict=True):
        asked = backbone.encode([probe.query], [""], Ask(decode="generate"))
        assert answer.token_ids == written_naively(backbone, probe, asked.encoded[0], len(answer.token_ids))
        assert len(answer.token_ids) <= max(6, 2 * len(f" {probe.target}"))


@torch.no_grad()
def written_naively(backbone: ComposedBackbone, probe: Probe, asked: Encoded, count: int) -> tuple[int, ...]:
    """Write `count` tokens by running everything anew for each."""
    batch = encode(backbone, (probe,), Ask())
    features = backbone.trunk(batch, VISION, store=MemoryStore()).features
    slots = backbone.vision.align(features) if features else torch.zeros(0)
    written: tuple[int, ...] = ()
    for _ in range(count):
        so_far = (*asked.keys, *written)
        places = asked.places and asked.places + tuple(
            tuple(place + step for place in asked.places[-1]) for step in range(1, len(written) + 1)
        )
        logits = separate_logits(backbone, Encoded(so_far, (), (len(so_far) - 1,), (), places), slots)
        written += (int(logits.argmax()),)
    return written


def test_an_image_is_encoded_once(backbone: ComposedBackbone, cases: tuple[EditCase, ...], store: MemoryStore) -> None:
    calls = []
    tower = backbone.module.get_submodule(backbone.site("vision"))
    handle = tower.register_forward_hook(lambda *_: calls.append(1))
    try:
        for ask in ASKS:
            backbone.trunk(encode(backbone, cases[0].probes, ask), OUTPUT, store=store)
    finally:
        handle.remove()
    assert len(calls) == len({probe.query.image for probe in cases[0].probes} - {None})


def test_pictures_that_were_kept_in_the_machines_memory_are_seen_alike(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    probes, kept = cases[0].probes, HostStore(1 << 28)
    backbone.answer(probes, Ask(), store=kept)
    again, fresh = (backbone.answer(probes[1:], Ask(), store=store) for store in (kept, MemoryStore()))
    assert [answer.target_logprob for answer in again] == [answer.target_logprob for answer in fresh]


def test_two_pictures_under_one_question_are_told_apart(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], store: MemoryStore
) -> None:
    probe = next(probe for probe in cases[0].probes if probe.kind.name == "recall")
    other = next(probe.query.image for probe in cases[0].probes if probe.kind.name == "i_loc")
    turned = replace(probe, query=replace(probe.query, image=other))
    one, two = (backbone.answer([each], Ask(), store=store)[0].target_logprob for each in (probe, turned))
    assert one != two
