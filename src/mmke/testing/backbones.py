"""What every backbone promises: a cut changes nothing, company changes nothing, and decoding is greedy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmke.backbones.engine import packing
from mmke.backbones.engine.answering import kept_trunk
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.disk import OnDisk
from mmke.backbones.engine.store import HostStore, MemoryStore
from mmke.protocols import INPUTS, OUTPUT, VISION, Backbone, Batch, Cut, Encoded
from mmke.testing.kit import shared_kit
from mmke.types import Ask, ImageRef, Probe

CUTS = (
    VISION,
    INPUTS,
    *(Cut("layer", layer) for layer in (0, 2, -1)),
    *(Cut("mlp", layer) for layer in (0, 2, -1)),
    OUTPUT,
)
ASKS = {"answer rows": Ask(), "all rows": Ask(labels="alone", positions="all")}


@dataclass(frozen=True)
class BackboneTrial:
    """A backbone, the probes of one record, and a store of its own."""

    backbone: ComposedBackbone
    probes: tuple[Probe, ...]
    store: MemoryStore

    @property
    def with_short_targets(self) -> list[Probe]:
        """The probes with the beginning of their targets: what is written is at most twice as long as a target."""
        return [replace(probe, target=probe.target[:5]) for probe in self.probes]

    def encode(self, ask: Ask) -> Batch:
        """Encode all probes as one batch."""
        return self.backbone.encode(
            [probe.query for probe in self.probes], [probe.target for probe in self.probes], ask
        )

    def logits(self, batch: Batch, cut: Cut) -> Tensor:
        """Compute a batch's logits in two parts, divided at a cut."""
        return self.backbone.tail(self.backbone.trunk(batch, cut, store=self.store), {})


Claim = Callable[[BackboneTrial], None]


def it_keeps_the_protocol(trial: BackboneTrial) -> None:
    """It has every member that `mmke.protocols.Backbone` names."""
    assert isinstance(trial.backbone, Backbone)


def every_cut_gives_the_whole_models_bits(trial: BackboneTrial) -> None:
    """Trunk and tail together compute what the whole model computes, wherever the cut is."""
    for way, ask in ASKS.items():
        batch = trial.encode(ask)
        whole = trial.logits(batch, INPUTS)
        for cut in CUTS:
            cut_here = trial.logits(batch, cut)
            if cut == Cut("mlp", -1):
                # The last MLP sees the wanted rows alone: its matrices have other shapes than the whole model's.
                assert torch.equal(cut_here.argmax(-1), whole.argmax(-1)), (way, cut)
                torch.testing.assert_close(cut_here.log_softmax(-1), whole.log_softmax(-1), rtol=0, atol=1e-5)
            else:
                assert torch.equal(cut_here, whole), (way, cut)


@torch.no_grad()
def a_pack_answers_as_separate_passes_do(trial: BackboneTrial) -> None:
    """Queries that are computed together have the logits of the library's ordinary pass over each by itself."""
    for ask in ASKS.values():
        batch = trial.encode(ask)
        packed = trial.logits(batch, OUTPUT)
        slots = trial.backbone.vision.align(trial.backbone.trunk(batch, VISION, store=trial.store).features)
        separate = torch.cat([separate_logits(trial.backbone, encoded, slots) for encoded in batch.encoded])
        assert torch.equal(packed.argmax(-1), separate.argmax(-1))
        torch.testing.assert_close(packed.log_softmax(-1), separate.log_softmax(-1), rtol=0, atol=1e-5)


def pictures_in_one_pack_answer_as_in_packs_of_their_own(trial: BackboneTrial) -> None:
    """The questions of several pictures may be computed in one pass."""
    backbone, probes = trial.backbone, trial.with_short_targets
    asks, pictures = [Ask(top=5), Ask(decode="generate", max_new=3)], images(probes)
    groups = [[probe for probe in probes if probe.query.image == image] for image in pictures]
    apart = [[backbone.answer(group, ask) for group in groups] for ask in asks]
    for chain in (4, 256):
        with pytest.MonkeyPatch.context() as patch:
            put_into_one_pack(patch, chain)
            (pack,) = trial.encode(Ask()).packs
            assert len(pack.tries) == len(pictures) > 2
            together = [backbone.answer(probes, ask) for ask in asks]
        for answers, separate in zip(together, apart, strict=True):
            for image, wanted in zip(pictures, separate, strict=True):
                own = [a for probe, a in zip(probes, answers, strict=True) if probe.query.image == image]
                assert [answer.token_ids for answer in own] == [answer.token_ids for answer in wanted]
                logprobs, expected = ([answer.target_logprob for answer in some] for some in (own, wanted))
                np.testing.assert_allclose(logprobs, expected, atol=1e-5)


def put_into_one_pack(patch: pytest.MonkeyPatch, chain: int) -> None:
    """Let a pack be as long as it likes, and a prefix of `chain` positions be worth a trie without a mask."""
    make = packing.make_batch
    patch.setattr(packing, "LONG_CHAIN", chain)

    def without_limit(*given: Any, limit: int, device: torch.device) -> Batch:
        return make(*given, limit=10000, device=device)

    patch.setattr(packing, "make_batch", without_limit)


def company_does_not_change_an_answer(trial: BackboneTrial) -> None:
    """A probe is answered alike alone and among others."""
    ask, backbone = Ask(top=5, logprobs=True), trial.backbone
    among = backbone.answer(trial.probes, ask)
    for probe, answer in zip(trial.probes, among, strict=True):
        (alone,) = backbone.answer([probe], ask)
        assert alone.token_ids == answer.token_ids
        np.testing.assert_array_equal(alone.top_ids, answer.top_ids)
        np.testing.assert_allclose(alone.logprobs, answer.logprobs, atol=1e-5)  # type: ignore[arg-type]


def order_does_not_change_an_answer(trial: BackboneTrial) -> None:
    """Answers come in the order of the probes."""
    forward = trial.backbone.answer(trial.probes, Ask())
    backward = trial.backbone.answer(trial.probes[::-1], Ask())[::-1]
    assert [answer.token_ids for answer in forward] == [answer.token_ids for answer in backward]


def decoding_takes_the_most_probable_token_each_time(trial: BackboneTrial) -> None:
    """Generation equals running everything anew for each token."""
    probes = trial.with_short_targets
    answers = trial.backbone.answer(probes, Ask(decode="generate", max_new=6))
    for probe, answer in zip(probes, answers, strict=True):
        (asked,) = trial.backbone.encode([probe.query], [""], Ask(decode="generate")).encoded
        assert answer.token_ids == written_naively(trial.backbone, probe, asked, len(answer.token_ids))
        assert len(answer.token_ids) <= max(6, 2 * len(f" {probe.target}"))


def an_image_is_encoded_once(trial: BackboneTrial) -> None:
    """A picture that several probes show, in several batches, passes the image encoder once."""
    calls = []
    tower = trial.backbone.module.get_submodule(trial.backbone.site("vision"))
    handle = tower.register_forward_hook(lambda *_: calls.append(1))
    try:
        for ask in ASKS.values():
            trial.backbone.trunk(trial.encode(ask), OUTPUT, store=trial.store)
    finally:
        handle.remove()
    assert len(calls) == len({probe.query.image for probe in trial.probes} - {None})


def pictures_that_were_kept_in_the_machines_memory_are_seen_alike(trial: BackboneTrial) -> None:
    """Features that were moved out of the device's memory and back are the same bits."""
    backbone, kept = trial.backbone, HostStore(1 << 28)
    backbone.answer(trial.probes, Ask(), store=kept)
    again, fresh = (backbone.answer(trial.probes[1:], Ask(), store=store) for store in (kept, MemoryStore()))
    assert [answer.target_logprob for answer in again] == [answer.target_logprob for answer in fresh]


def what_was_kept_on_disk_is_answered_alike(trial: BackboneTrial) -> None:
    """The state below a cut is the same bits when it was written to disk and read again, and is not computed anew."""
    backbone, batch = trial.backbone, trial.encode(Ask())
    for cut in CUTS:
        disk = OnDisk(1 << 28)
        first, again = (kept_trunk(backbone, batch, cut, HostStore(0, below=disk)) for _ in range(2))
        assert disk.holds((backbone.state, cut, batch.digest))
        assert torch.equal(backbone.tail(first, {}), backbone.tail(again, {}))


def two_pictures_under_one_question_are_told_apart(trial: BackboneTrial) -> None:
    """Another picture changes the answer's probability."""
    probe = next(probe for probe in trial.probes if probe.kind.role == "recall")
    other = next(probe.query.image for probe in trial.probes if probe.kind.name == "i_loc")
    turned = replace(probe, query=replace(probe.query, image=other))
    one, two = (trial.backbone.answer([each], Ask(), store=trial.store)[0].target_logprob for each in (probe, turned))
    assert one != two


CLAIMS: tuple[Claim, ...] = (
    it_keeps_the_protocol,
    every_cut_gives_the_whole_models_bits,
    a_pack_answers_as_separate_passes_do,
    pictures_in_one_pack_answer_as_in_packs_of_their_own,
    company_does_not_change_an_answer,
    order_does_not_change_an_answer,
    decoding_takes_the_most_probable_token_each_time,
    an_image_is_encoded_once,
    pictures_that_were_kept_in_the_machines_memory_are_seen_alike,
    what_was_kept_on_disk_is_answered_alike,
    two_pictures_under_one_question_are_told_apart,
)


def images(probes: Sequence[Probe]) -> list[ImageRef | None]:
    """Return the distinct pictures of probes, in their order."""
    return list(dict.fromkeys(probe.query.image for probe in probes))


def separate_logits(backbone: ComposedBackbone, encoded: Encoded, slots: Tensor) -> Tensor:
    """Run the language model in the ordinary way: one query, causal attention, no mask of ours, no cut."""
    embeds = backbone.decoder.embed(torch.tensor([max(number, 0) for number in encoded.input_ids]))
    embeds = torch.stack(
        [slots[-1 - number] if number < 0 else row for number, row in zip(encoded.input_ids, embeds, strict=True)]
    )
    positions = None if encoded.position_ids is None else torch.tensor(encoded.position_ids).T[:, None]
    read = backbone.decoder.model(inputs_embeds=embeds[None], position_ids=positions, use_cache=False)
    logits: Tensor = backbone.decoder.head(read.last_hidden_state[0])[list(encoded.rows)]
    return logits


@torch.no_grad()
def written_naively(backbone: ComposedBackbone, probe: Probe, asked: Encoded, count: int) -> tuple[int, ...]:
    """Write `count` tokens by running everything anew for each."""
    batch = backbone.encode([probe.query], [probe.target], Ask())
    features = backbone.trunk(batch, VISION, store=MemoryStore()).features
    slots = backbone.vision.align(features) if features else torch.zeros(0)
    written: tuple[int, ...] = ()
    for _ in range(count):
        so_far = (*asked.input_ids, *written)
        positions = asked.position_ids and asked.position_ids + tuple(
            tuple(position + step for position in asked.position_ids[-1]) for step in range(1, len(written) + 1)
        )
        logits = separate_logits(backbone, Encoded(so_far, (), (len(so_far) - 1,), (), positions), slots)
        written += (int(logits.argmax()),)
    return written


def backbone_contract(*names: str) -> Callable[..., None]:
    """Return a test of every claim for each of these backbones: registered names, or `mmke.testing.ARCHITECTURES`."""

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
    @pytest.mark.parametrize("backbone", names)
    def test_backbone(backbone: str, claim: Claim, request: pytest.FixtureRequest) -> None:
        kit = shared_kit(request)
        claim(BackboneTrial(kit.backbone(backbone), kit.cases[0].probes, MemoryStore()))

    return test_backbone
