"""Tries: what is shared is one run of nodes, and each node sees its own past alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grid import first_quick
from mmke import api
from mmke.backbones.engine import packing
from mmke.backbones.engine.packing import Trie, make_batch, sight
from mmke.benchmarks.probes.published import T_REL
from mmke.protocols import Encoded
from mmke.types import Ask, Probe, Query

SEQUENCES = st.lists(st.lists(st.integers(-4, 3), min_size=1, max_size=7), min_size=1, max_size=6)


@given(SEQUENCES)
def test_a_path_reads_its_sequence_and_sees_nothing_else(sequences: list[list[int]]) -> None:
    trie = Trie()
    paths = [trie.insert(sequence) for sequence in sequences]
    mask = trie.mask()
    for sequence, path in zip(sequences, paths, strict=True):
        assert [trie.input_ids[node] for node in path] == sequence
        for depth, node in enumerate(path):
            assert set(np.flatnonzero(mask[node])) == set(path[: depth + 1])
            assert trie.depths[node] == depth


def test_a_common_prefix_is_kept_once() -> None:
    trie = Trie()
    trie.insert([5, 6, 7])
    trie.insert([5, 6, 8])
    assert trie.input_ids == [5, 6, 7, 8]


def test_a_group_is_never_divided_and_packs_keep_to_the_limit() -> None:
    encoded = [Encoded((i, 9, 9, 9), (9,), (2,), (0,)) for i in range(6)]
    batch = make_batch(encoded, [], [0, 1, 0, 2, 2, 2], limit=12, device=torch.device("cpu"))
    assert [pack.members for pack in batch.packs] == [(0, 2, 1), (3, 4, 5)]


def test_a_group_beyond_the_limit_has_a_pack_to_itself() -> None:
    encoded = [Encoded((i, *range(9, 9 + length)), (9,), (length,), (0,)) for i, length in enumerate((2, 30, 2, 2))]
    batch = make_batch(encoded, [], [0, 1, 2, 3], limit=24, device=torch.device("cpu"))
    assert [pack.members for pack in batch.packs] == [(0,), (1,), (2, 3)]


def test_a_trie_that_would_grow_too_large_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", 12)
    # Three tokens in common, then four of their own: two queries are eleven nodes, three would be fifteen.
    encoded = [Encoded((1, 2, 3, *[10 * i + 10] * 4, 9), (9,), (6,), (0,)) for i in range(5)]
    batch = make_batch(encoded, [], [0] * 5, limit=1000, device=torch.device("cpu"))
    (pack,) = batch.packs
    assert [trie.end - trie.begin for trie in pack.tries] == [11, 11, 7]
    assert pack.members == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("decode", first_quick(["loglikelihood", "generate"]))
def test_answers_are_the_same_in_however_many_tries(monkeypatch: pytest.MonkeyPatch, decode: str) -> None:
    backbone = api.load_backbone("tiny-llava")
    probes = [Probe(T_REL, Query(f"{letter} " * 9), "yes") for letter in "abcd"]
    ask = Ask(decode=decode, max_new=3)  # type: ignore[arg-type]
    together = backbone.answer(probes, ask)
    monkeypatch.setattr(packing, "LARGEST", 40)
    apart = backbone.answer(probes, ask)
    assert [answer.token_ids for answer in apart] == [answer.token_ids for answer in together]


@pytest.mark.parametrize("chain", [1, 256])
@given(groups=st.lists(SEQUENCES, min_size=1, max_size=3))
def test_every_query_of_a_pack_sees_itself_alone(groups: list[list[list[int]]], chain: int) -> None:
    encoded = [Encoded(tuple(input_ids), (9,), (len(input_ids) - 1,), (0,)) for group in groups for input_ids in group]
    numbers = [number for number, group in enumerate(groups) for _ in group]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "LONG_CHAIN", chain)
        (pack,) = make_batch(encoded, [], numbers, limit=200, device=torch.device("cpu")).packs
    assert len(pack.tries) == len(groups)
    seen = sight(pack, torch.arange(len(pack.input_ids)))
    for member, end in zip(pack.members, pack.ends.tolist(), strict=True):
        path, input_ids = seen[end].nonzero()[:, 0].tolist(), list(encoded[member].input_ids)
        assert pack.input_ids[path].tolist() == input_ids
        assert pack.position_ids[path].tolist() == list(range(len(input_ids)))
        for depth, node in enumerate(path):
            assert seen[node].nonzero()[:, 0].tolist() == path[: depth + 1]
    assert torch.equal(pack.rows, pack.ends)
    assert pack.members == tuple(sorted(range(len(encoded)), key=numbers.__getitem__))


def test_equal_batches_have_equal_digests_and_others_do_not() -> None:
    def digest(*input_ids: int) -> str:
        return make_batch([Encoded(input_ids, (9,), (0,), (0,))], [], [-1], limit=9, device=torch.device("cpu")).digest

    assert digest(1, 2) == digest(1, 2) != digest(1, 3)


def test_what_is_long_is_a_trie_of_its_own_and_needs_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LONG_TAIL", 8)
    shared, tails = [1, 2, 3], [[4] * 9, [5, *[4] * 9], [6], [7], [8] * 7]
    encoded = [Encoded((*shared, *tail), (9,), (len(tail) + 2,), (0,)) for tail in tails]
    (pack,) = make_batch(encoded, [], [0] * 5, limit=200, device=torch.device("cpu")).packs
    assert pack.members == (2, 3, 4, 0, 1)
    assert [trie.end - trie.begin for trie in pack.tries] == [12, 12, 13]
    assert pack.mask.shape == (12, 12)
    assert all(trie.branch == trie.end for trie in pack.tries[1:])


@pytest.mark.parametrize("decode", first_quick(["loglikelihood", "generate"]))
def test_answers_are_the_same_however_long_they_count(monkeypatch: pytest.MonkeyPatch, decode: str) -> None:
    backbone, way = api.load_backbone("tiny-llava"), Ask(decode=decode, max_new=3)  # type: ignore[arg-type]
    probes = [Probe(T_REL, Query(f"What is {'it ' * n}?"), "red " * n) for n in (1, 2, 30, 40)]
    together = backbone.answer(probes, way)
    monkeypatch.setattr(packing, "LONG_TAIL", 8)
    for one, other in zip(together, backbone.answer(probes, way), strict=True):
        assert one.token_ids == other.token_ids
        np.testing.assert_allclose(one.target_logprob, other.target_logprob, atol=1e-5)
