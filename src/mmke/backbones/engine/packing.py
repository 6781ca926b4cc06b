"""Merging queries into prefix trees (tries), so that a shared prefix is computed once and nothing is padded.

In: encoded queries. Out: a batch of packs. A pack is one sequence of tokens: one trie after another. A layer's matrix
products run over the whole pack; attention runs trie by trie.

A node attends to itself and to its ancestors, and its position is its depth. For each query that is exactly causal
attention over its own tokens. In float32 a pack differs from the exact log-probabilities no more than separate forward
passes do: both by less than 1e-5 nats on the four-layer models, and by about 1e-4 on thirty layers (`tests/contracts`,
`tests/backbones/test_smol.py`).
"""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mmke.backbones.engine.sending import sent
from mmke.protocols import Batch, Encoded, Pack, TrieSpan
from mmke.types import ImageRef

LONG_CHAIN = 256
"""From this length on the leading chain of a trie gets an attention call of its own: causal, without a mask."""
LONG_TAIL = 1024
"""From this many tokens of its own on a query gets a trie of its own, which needs no mask. The size of a mask, and the
time of attention under it, grow with the square of everything behind a branch."""

LARGEST = 8192
"""Nodes that a trie of several queries has at most: what they share is computed again in the next one. Without this,
thirty questions behind contexts of their own would need a mask of gigabytes."""


class Trie:
    """A prefix tree of input_ids: sequences with a common prefix share its nodes."""

    def __init__(self) -> None:
        self.input_ids: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._paths: list[tuple[Sequence[int], list[int]]] = []

    def insert(self, input_ids: Sequence[int]) -> list[int]:
        """Add a sequence and return the node of each of its positions."""
        shared: list[int] = []
        for other, nodes in self._paths:
            same = _common(input_ids, other, at_least=len(shared))
            if same > len(shared):
                shared = nodes[:same]
        path = [*shared, *range(len(self.input_ids), len(self.input_ids) + len(input_ids) - len(shared))]
        self.input_ids += input_ids[len(shared) :]
        self.parents += [-1, *path][len(shared) : len(input_ids)]
        self.depths += range(len(shared), len(input_ids))
        self._paths.append((input_ids, path))
        return path

    def chain(self) -> int:
        """Return the length of the chain that the trie begins with, up to its first branch."""
        breaks = (node for node, parent in enumerate(self.parents) if parent != node - 1)
        return next(breaks, len(self.parents))

    def mask(self, begin: int = 0) -> np.ndarray:
        """Return the attention mask [seq - begin × seq]: the row of node i ≥ begin is true at i and at its ancestors.

        The nodes before `begin` have to be a chain without branches.
        """
        size = len(self.input_ids)
        mask = np.zeros((size - begin, size), dtype=bool)
        runs = [node for node in range(begin, size) if node == begin or self.parents[node] != node - 1]
        for first, beyond in pairwise([*runs, size]):  # a chain each, behind the same ancestors
            parent, rows = self.parents[first], mask[first - begin : beyond - begin]
            if parent >= begin:
                rows[:] = mask[parent - begin]
            else:
                rows[:, : parent + 1] = True
            rows[:, first:beyond] = np.tri(beyond - first, dtype=bool)
        return mask


def _common(one: Sequence[int], other: Sequence[int], *, at_least: int) -> int:
    """Return the length of the common prefix, or something smaller where it is not above `at_least`."""
    if one[: at_least + 1] != other[: at_least + 1]:
        return 0
    low, high = at_least, min(len(one), len(other))
    while low < high:  # comparing slices is a hundred times as fast as comparing token by token
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


class Group(NamedTuple):
    """Queries that share a prefix, merged into a trie, and the nodes of each."""

    members: Sequence[int]
    trie: Trie
    paths: Sequence[Sequence[int]]


def pack(groups: Sequence[Group], encoded: Sequence[Encoded], device: torch.device) -> Pack:
    """Put groups one after another into a pack; their members are indices of queries in the batch."""
    position_ids: dict[int, tuple[int, ...]] = {}
    rows, ends, begin = [], [], 0
    for members, trie, paths in groups:
        for each, path in zip((encoded[member] for member in members), paths, strict=True):
            rows += [begin + path[row] for row in each.rows]
            ends.append(begin + path[-1])
            position_ids.update(zip((begin + node for node in path), each.position_ids or (), strict=False))
        begin += len(trie.input_ids)
    spans, mask = _spans([group.trie for group in groups])
    depths = [depth for group in groups for depth in group.trie.depths]
    positions = list(zip(*(position_ids[node] for node in range(begin)), strict=True)) if position_ids else depths
    return Pack(
        input_ids=sent([key for group in groups for key in group.trie.input_ids], device),
        position_ids=sent(positions, device),
        tries=spans,
        mask=sent(mask, device),
        members=tuple(member for group in groups for member in group.members),
        ends=sent(ends, device),
        rows=sent(rows, device),
    )


def _spans(tries: Sequence[Trie]) -> tuple[tuple[TrieSpan, ...], np.ndarray]:
    """Return where each trie begins and ends in the pack, and their masks, one below the other."""
    spans, masks, begin = [], [], 0
    for trie in tries:
        chain, size = trie.chain(), len(trie.input_ids)
        unmasked = chain if chain >= LONG_CHAIN or chain == size else 0
        spans.append(TrieSpan(begin, begin + unmasked, begin + size))
        if unmasked < size:
            masks.append(trie.mask(unmasked))
        begin += size
    joint = np.zeros((sum(map(len, masks)), max((mask.shape[1] for mask in masks), default=0)), dtype=bool)
    row = 0
    for mask in masks:
        joint[row : row + len(mask), : mask.shape[1]] = mask
        row += len(mask)
    return tuple(spans), joint


def sight(pack: Pack, nodes: Tensor) -> Bool[Tensor, "nodes seq"]:
    """Return for some nodes which nodes of the pack they attend to."""
    seen = torch.zeros(len(nodes), len(pack.input_ids), dtype=torch.bool, device=nodes.device)
    masked = 0
    for begin, branch, end in pack.tries:
        sees = torch.arange(begin, end, device=nodes.device) <= nodes[:, None]
        if branch < end:
            row = (masked + nodes - branch).clamp(masked, masked + end - branch - 1)
            sees = torch.where((nodes < branch)[:, None], sees, pack.mask[row, : end - begin])
        seen[:, begin:end] = sees & ((nodes >= begin) & (nodes < end))[:, None]
        masked += end - branch
    return seen


def make_batch(
    encoded: Sequence[Encoded],
    images: Sequence[ImageRef],
    groups: Sequence[int],
    *,
    limit: int,
    device: torch.device,
) -> Batch:
    """Divide queries into packs.

    Queries of one group (the same image) share a trie, since that is where the prefix is, but for very long ones. Tries
    share a pack as long as it stays within `limit` nodes. The division depends on the batch alone, so that equal
    batches give equal bits.
    """
    divided: list[list[Group]] = []
    room = 0
    for number in sorted(set(groups)):
        for group in _merged([i for i, g in enumerate(groups) if g == number], encoded):
            size = len(group.trie.input_ids)
            if size > room:
                divided.append([])
                room = limit
            divided[-1].append(group)
            room -= size
    packs = tuple(pack(some, encoded, device) for some in divided)
    order = sent(_query_order(packs, encoded), device, torch.long)
    return Batch(tuple(encoded), tuple(images), packs, order, _digest(encoded, images))


def _query_order(packs: Sequence[Pack], encoded: Sequence[Encoded]) -> list[int]:
    """Return the permutation that brings rows from pack order to query order."""
    starts, start = {}, 0
    for member in (member for each in packs for member in each.members):
        starts[member] = start
        start += len(encoded[member].rows)
    return [starts[i] + j for i, each in enumerate(encoded) for j in range(len(each.rows))]


def _merged(members: Sequence[int], encoded: Sequence[Encoded]) -> list[Group]:
    """Merge queries into tries: very long ones each into its own, all others into as few as `LARGEST` allows."""
    # Tokens after the last wanted row do not change any wanted row.
    read = {i: encoded[i].input_ids[: max(encoded[i].rows) + 1] for i in members}
    alone = [i for i in members if len(members) > 1 and _is_long(i, read)]
    together = [i for i in members if i not in alone]
    groups: list[Group] = []
    for some in (*_bounded(together, read), *([i] for i in alone)):
        trie = Trie()
        groups.append(Group(some, trie, [trie.insert(read[i]) for i in some]))
    return groups


def _bounded(members: Sequence[int], read: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Divide queries, in their order, so that each part makes a trie of at most `LARGEST` nodes."""
    if sum(len(read[i]) for i in members) <= LARGEST:
        return [list(members)] if members else []
    parts: list[list[int]] = []
    size = 0
    for i in members:
        shared = max((_common(read[i], read[other], at_least=0) for other in parts[-1]), default=0) if parts else 0
        own = len(read[i]) - shared
        if not parts or size + own > LARGEST:
            parts.append([])
            size, own = 0, len(read[i])
        parts[-1].append(i)
        size += own
    return parts


def _is_long(member: int, read: Mapping[int, Sequence[int]]) -> bool:
    """Tell whether so much of a query is its own that computing its prefix again costs less than a mask would."""
    own = read[member]
    if len(own) < LONG_TAIL:
        return False
    shared = max(_common(own, other, at_least=0) for i, other in read.items() if i != member)
    return len(own) - shared >= max(LONG_TAIL, shared)


def _digest(encoded: Sequence[Encoded], images: Sequence[ImageRef]) -> str:
    digest = hashlib.sha256(repr([image.key for image in images]).encode())
    for numbers in (each for e in encoded for each in (e.input_ids, e.target_ids, e.rows)):
        digest.update(array("q", [len(numbers), *numbers]).tobytes())
    return digest.hexdigest()
