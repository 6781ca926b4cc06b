"""What is quicker than the library's own decoder computes the same: attention over packs, norms as one kernel."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from mmke.backbones.engine import packing
from mmke.backbones.engine.attention import attend, attending
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.decoder import fuse_norms
from mmke.benchmarks.probes.published import T_REL
from mmke.protocols import TrieSpan
from mmke.running.loading import load
from mmke.running.request import Request
from mmke.types import Ask, Probe, Query

CPU, GPU = torch.device("cpu"), torch.device("cuda")
DEVICES = [CPU, pytest.param(GPU, marks=pytest.mark.gpu)]


class Layer(nn.Module):
    """What attention asks of the layer that calls it."""

    is_causal = True
    num_key_value_groups = 1


def norms(device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """The library's norm, and the same one fused."""
    torch.manual_seed(0)
    weight = torch.randn(64)
    written, fused = (LlamaRMSNorm(64, eps=1e-6).to(device, dtype) for _ in range(2))
    for norm in (written, fused):
        norm.load_state_dict({"weight": weight})
        norm.requires_grad_(requires_grad=False)
    fuse_norms(nn.ModuleList([fused]))
    return written, fused


@pytest.fixture(scope="module", params=["tiny-llava", "tiny-blip2"])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    loaded = load(Request(request.param, None, ()))
    assert isinstance(loaded, ComposedBackbone)
    return loaded


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_norms_on_a_processor_are_the_librarys_bit_for_bit(dtype: torch.dtype) -> None:
    written, fused = norms(CPU, dtype)
    hidden = (torch.randn(5, 64) * 30).to(dtype)
    assert torch.equal(fused(hidden), written(hidden))


@pytest.mark.gpu
def test_norms_in_full_precision_are_the_librarys_bit_for_bit_on_a_card() -> None:
    written, fused = norms(GPU, torch.float32)
    hidden = torch.randn(5, 64, device=GPU) * 30
    assert torch.equal(fused(hidden), written(hidden))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_fused_norm_is_the_librarys_within_the_rounding_of_half_precision(dtype: torch.dtype) -> None:
    written, fused = norms(GPU, dtype)
    hidden = (torch.randn(50, 64, device=GPU) * 30).to(dtype)
    exact = norms(GPU, torch.float32)[0].to(dtype).float()(hidden.float())
    rounding = torch.finfo(dtype).eps
    # The library rounds twice, before the weight and behind it; one kernel rounds once.
    torch.testing.assert_close(fused(hidden).float(), exact, rtol=rounding, atol=1e-4)
    torch.testing.assert_close(fused(hidden).float(), written(hidden).float(), rtol=2 * rounding, atol=1e-4)


@pytest.mark.gpu
def test_a_fused_norm_has_the_librarys_gradient() -> None:
    written, fused = norms(GPU, torch.float16)
    grads = []
    for norm in (written, fused):
        hidden = torch.linspace(-3, 3, 128, device=GPU).half().view(2, 64).requires_grad_()
        norm(hidden).float().square().sum().backward()
        grads.append(hidden.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("device", DEVICES)
def test_a_norm_of_another_precision_than_what_it_reads_stays_the_librarys(device: torch.device) -> None:
    written, fused = norms(device, torch.float32)
    hidden = torch.randn(5, 64).half().to(device)
    assert torch.equal(fused(hidden), written(hidden))


def attended(mask: Tensor | None, device: torch.device, tries: Sequence[TrieSpan] = ()) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 12, 8, generator=generator).to(device) for _ in range(3))
    seen = None if mask is None else mask.to(device)[None, None]
    with attending(tries):
        result, _ = attend(Layer(), query, key, value, seen, scaling=8**-0.5)
    return result.cpu()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chain", [1, 3, 5])
def test_a_leading_chain_without_a_mask_attends_as_under_its_mask(device: torch.device, chain: int) -> None:
    whole = torch.ones(12, 12, dtype=torch.bool).tril()
    whole[7:, 5:7] = False  # a branch that begins behind position 4
    torch.testing.assert_close(attended(whole[chain:], device), attended(whole, device), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chain", [0, 3])
def test_blocks_attend_as_under_a_mask_of_all(device: torch.device, chain: int) -> None:
    whole = torch.ones(12, 12, dtype=torch.bool).tril()
    whole[5:, :5] = False  # a second trie
    whole[10:, 8:10] = False  # in which a branch begins behind its third node
    compact = torch.zeros(5 + 7 - 2 * chain, 7, dtype=torch.bool)
    compact[: 5 - chain, :5], compact[5 - chain :] = whole[chain:5, :5], whole[5 + chain :, 5:]
    tries = [TrieSpan(0, chain, 5), TrieSpan(5, 5 + chain, 12)]
    torch.testing.assert_close(attended(compact, device, tries), attended(whole, device), rtol=1e-5, atol=1e-6)
    second = attended(compact[5 - chain :], device, [TrieSpan(5, 5 + chain, 12)])
    assert torch.equal(second, attended(compact, device, tries)[:, 5:])


def test_one_query_behind_a_cache_sees_every_key_without_a_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, n, 8, generator=generator) for n in (1, 12, 12))
    with attending([]):
        result, _ = attend(Layer(), query, key, value, None, scaling=8**-0.5)
    weights = (query @ key.transpose(2, 3) * 8**-0.5).softmax(-1)
    torch.testing.assert_close(result.transpose(1, 2), weights @ value)


def test_the_librarys_own_decoding_goes_on_behind_its_cache(backbone: ComposedBackbone) -> None:
    model, embeds = backbone.decoder.model, torch.randn(1, 6, backbone.decoder.config.hidden_size)
    with torch.no_grad():
        whole = model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        begun = model(inputs_embeds=embeds[:, :5], use_cache=True)
        last = model(inputs_embeds=embeds[:, 5:], past_key_values=begun.past_key_values).last_hidden_state
    torch.testing.assert_close(last, whole[:, 5:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_without_a_mask_all_is_one_chain(device: torch.device) -> None:
    whole = torch.ones(12, 12, dtype=torch.bool).tril()
    torch.testing.assert_close(attended(None, device), attended(whole, device), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chain", [1, 8])
def test_answers_are_the_same_with_a_chain_of_any_length(
    backbone: ComposedBackbone, monkeypatch: pytest.MonkeyPatch, chain: int
) -> None:
    probes = [Probe(T_REL, Query(f"In which{end}"), "here") for end in (" of the rooms is it?", " of the towns?", "?")]
    masked, greedy = backbone.answer(probes, Ask()), backbone.answer(probes, Ask(decode="generate", max_new=3))
    monkeypatch.setattr(packing, "LONG_CHAIN", chain)
    chained: Any = backbone.answer(probes, Ask())
    again = backbone.answer(probes, Ask(decode="generate", max_new=3))
    assert [a.token_ids for a in again] == [a.token_ids for a in greedy]
    for one, other in zip(masked, chained, strict=True):
        assert one.token_ids == other.token_ids
        assert one.target_logprob == pytest.approx(other.target_logprob, abs=1e-5)
