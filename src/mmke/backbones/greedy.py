"""Greedy decoding of a whole batch at once: each step adds one node under every query that has not ended."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from mmke.backbones.packing import sight
from mmke.protocols import Pack, Trunk


def continue_batch(backbone: Any, below: Trunk, limits: Sequence[int]) -> list[tuple[int, ...]]:
    """Continue every query of a batch from its last position.

    Args:
        backbone: the composed backbone.
        below: its trunk at the cut `vision`.
        limits: the most tokens for each query.

    Returns:
        The ids written, without the end-of-sequence or newline token that stopped them.
    """
    written: dict[int, tuple[int, ...]] = {}
    for pack, embeds in zip(below.batch.packs, backbone.embed(below), strict=True):
        written |= _continue_pack(backbone, pack, embeds, limits)
    return [written[i] for i in range(len(below.batch.encoded))]


def _continue_pack(backbone: Any, pack: Pack, embeds: Tensor, limits: Sequence[int]) -> dict[int, tuple[int, ...]]:
    decoder = backbone.decoder
    cache = DynamicCache(config=decoder.config)
    hidden = decoder.run(embeds, pack.mask, pack.positions, cache=cache)[0, pack.ends]
    seen, positions = sight(pack, pack.ends), pack.positions[..., pack.ends]
    active = list(pack.members)
    written: dict[int, list[int]] = {member: [] for member in active}
    while active:
        ids = decoder.head(hidden).argmax(-1)
        keep = [
            i
            for i, (member, token) in enumerate(zip(active, ids.tolist(), strict=True))
            if _goes_on(backbone, written[member], token, limits[member])
        ]
        active = [active[i] for i in keep]
        if not active:
            break
        index = torch.tensor(keep, device=ids.device)
        new = torch.eye(len(keep), dtype=torch.bool, device=ids.device)
        seen, positions = torch.cat([seen[index], new], dim=1), positions[..., index] + 1
        hidden = decoder.run(decoder.embed(ids[index])[None], seen, positions, cache=cache)[0]
    return {member: tuple(ids) for member, ids in written.items()}


def _goes_on(backbone: Any, written: list[int], token: int, limit: int) -> bool:
    """Append a token unless it ends the answer; return whether more may follow."""
    if token in backbone.prompt.stop_ids or "\n" in backbone.text([token]):
        return False
    written.append(token)
    return len(written) < limit
