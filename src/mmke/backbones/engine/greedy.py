"""Greedy decoding of a whole batch at once: each step adds one node under every query that has not ended."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from mmke.backbones.engine.decoder import Decoder
from mmke.backbones.engine.packing import sight
from mmke.backbones.engine.sending import sent
from mmke.protocols import Batch, Pack

Stops = Callable[[int], bool]


def continue_batch(
    decoder: Decoder, batch: Batch, embeds: Sequence[Tensor], limits: Sequence[int], *, stops: Stops
) -> list[tuple[int, ...]]:
    """Continue every query of a batch from its last position.

    Args:
        decoder: the language model.
        batch: the queries.
        embeds: the input embeddings of each pack [1 seq hidden].
        limits: the most tokens for each query.
        stops: whether a token ends what is written.

    Returns:
        The ids written, without the end-of-sequence or newline token that stopped them.
    """
    written: dict[int, tuple[int, ...]] = {}
    for pack, each in zip(batch.packs, embeds, strict=True):
        written |= _continue_pack(decoder, pack, each, limits, stops)
    return [written[i] for i in range(len(batch.encoded))]


def _continue_pack(
    decoder: Decoder, pack: Pack, embeds: Tensor, limits: Sequence[int], stops: Stops
) -> dict[int, tuple[int, ...]]:
    cache = DynamicCache(config=decoder.config)
    hidden = decoder.run(embeds, pack.mask, pack.position_ids, tries=pack.tries, cache=cache)[0, pack.ends]
    seen, positions = sight(pack, pack.ends), pack.position_ids[..., pack.ends]
    active = list(pack.members)
    written: dict[int, list[int]] = {member: [] for member in active}
    while active:
        ids = decoder.head(hidden).argmax(-1)
        keep = [
            i
            for i, (member, token) in enumerate(zip(active, ids.tolist(), strict=True))
            if _goes_on(written[member], token, limits[member], stops)
        ]
        active = [active[i] for i in keep]
        if not active:
            break
        index = sent(keep, ids.device)
        new = torch.eye(len(keep), dtype=torch.bool, device=ids.device)
        seen, positions = torch.cat([seen[index], new], dim=1), positions[..., index] + 1
        hidden = decoder.run(decoder.embed(ids[index])[None], seen, positions, cache=cache)[0]
    return {member: tuple(ids) for member, ids in written.items()}


def _goes_on(written: list[int], token: int, limit: int, stops: Stops) -> bool:
    """Append a token unless it ends the answer or none may be written; return whether more may follow."""
    if limit == 0 or stops(token):
        return False
    written.append(token)
    return len(written) < limit
