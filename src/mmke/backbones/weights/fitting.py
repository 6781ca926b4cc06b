"""Fit a stored tensor to the shape that the module's tensor has, in the two cases where they may differ.

In: a stored tensor, the name and shape of the module's. Out: a tensor of that shape, read when it is needed; or None.
* Embedding and head may have more rows than the vocabulary: the further ones are not read.
* Position embeddings of the picture may be for another number of patches: they are interpolated.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mmke.backbones.weights.tensor_files import StoredTensor

SPARE_ROWS = 64
"""The most rows beyond the vocabulary: added tokens, or padding to a multiple of 64."""
VOCABULARY_TABLES = ("embed_tokens.weight", "lm_head.weight")
POSITION_TABLE = "embeddings.position_embedding"

Shape = tuple[int, ...]


def fitted(target: str, stored: StoredTensor, shape: Shape) -> StoredTensor | None:
    """Return a stored tensor in the shape of the module's tensor `target`; None if it does not fit."""
    if stored.shape == shape:
        return stored
    if target.endswith(VOCABULARY_TABLES):
        return _first_rows(target, stored, shape)
    if target.endswith(POSITION_TABLE):
        return _resized(stored, shape)
    return None


def resized_positions(table: Float[Tensor, "1 old hidden"], side: int) -> Float[Tensor, "1 new hidden"]:
    """Interpolate the position embeddings of a square of patches to another square, in float32.

    The first one is the class token's and is kept.

    Args:
        table: the class token's embedding, then those of the patches, row by row.
        side: number of patches along a side of the new square.

    Source: `interpolate_pos_embed` of LAVIS, lavis/models/eva_vit.py (bicubic, corners not aligned).
    """
    table = table.float()
    old = _side(table.shape[1])
    patches = table[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    patches = functional.interpolate(patches, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def _first_rows(target: str, stored: StoredTensor, shape: Shape) -> StoredTensor | None:
    rows, spare = shape[0], stored.shape[0] - shape[0]
    if not 0 < spare <= SPARE_ROWS or stored.shape[1:] != shape[1:]:
        return None
    note = f"rows {rows} to {stored.shape[0] - 1} of {target}, beyond the vocabulary, are not taken"
    return replace(stored, shape=shape, read=lambda: stored.read()[:rows], note=note)


def _resized(stored: StoredTensor, shape: Shape) -> StoredTensor | None:
    if len(stored.shape) != len(shape) or stored.shape[0] != shape[0] or stored.shape[2:] != shape[2:]:
        return None
    old, new = _side(stored.shape[1]), _side(shape[1])
    if old**2 + 1 != stored.shape[1] or new**2 + 1 != shape[1]:
        return None
    note = f"position embeddings of {stored.name} are interpolated from {old}x{old} to {new}x{new} patches"
    return replace(
        stored, shape=shape, dtype=torch.float32, read=lambda: resized_positions(stored.read(), new), note=note
    )


def _side(positions: int) -> int:
    """Return the number of patches along a side, of a square of patches with a class token."""
    return math.isqrt(positions - 1)
