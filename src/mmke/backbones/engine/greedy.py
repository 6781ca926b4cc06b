"""Greedy decoding of a whole batch at once: each step adds one node under every query that has not ended."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from mmke import steps
from mmke.backbones.engine.decoder import Decoder
from mmke.backbones.engine.packing import sight
from mmke.backbones.engine.sending import sent
from mmke.protocols import Batch, Pack, Written

Ends = Callable[[Sequence[int], int], bool]
"""Whether a token ends an answer, behind what has been written of it."""


def continue_batch(
    decoder: Decoder, batch: Batch, embeds: Sequence[Tensor], limits: Sequence[int], *, ends: Ends
) -> list[Written]:
    """Continue every query of a batch from its last position.

    Args:
        decoder: the language model.
        batch: the queries.
        embeds: the input embeddings of each pack [1 seq hidden].
        limits: the most tokens for each query.
        ends: tells which token ends an answer; that token is not part of it.
    """
    written: dict[int, Written] = {}
    for pack, each in zip(batch.packs, embeds, strict=True):
        written |= _continue_pack(decoder, pack, each, limits, ends)
    return [written[i] for i in range(len(batch.encoded))]


def _continue_pack(
    decoder: Decoder, pack: Pack, embeds: Tensor, limits: Sequence[int], ends: Ends
) -> dict[int, Written]:
    cache = DynamicCache(config=decoder.config)
    whole = decoder.run(embeds, pack.mask, pack.position_ids, tries=pack.tries, cache=cache)[0]
    hidden = whole[pack.ends.to(whole.device)]
    seen, position_ids = sight(pack, pack.ends), pack.position_ids[..., pack.ends]
    active = list(pack.members)
    written = {member: Written((), finished=False) for member in active}
    while active:
        ids = decoder.head(hidden).argmax(-1)
        for member, token in zip(active, ids.tolist(), strict=True):
            written[member] = _longer(written[member], token, limits[member], ends)
            steps.wrote(member, written[member].ids)
        keep = [i for i, member in enumerate(active) if _goes_on(written[member], limits[member])]
        active = [active[i] for i in keep]
        if not active:
            break
        index = sent(keep, seen.device)
        new = torch.eye(len(keep), dtype=torch.bool, device=seen.device)
        seen, position_ids = torch.cat([seen[index], new], dim=1), position_ids[..., index] + 1
        hidden = decoder.run(decoder.embed(ids.to(seen.device)[index])[None], seen, position_ids, cache=cache)[0]
    return written


def _longer(written: Written, token: int, limit: int, ends: Ends) -> Written:
    """Return an answer with one more token, or finished where that token ends it."""
    if ends(written.ids, token):
        return Written(written.ids, finished=True)
    return Written((*written.ids, token), finished=False) if limit else written


def _goes_on(written: Written, limit: int) -> bool:
    return not written.finished and len(written.ids) < limit
