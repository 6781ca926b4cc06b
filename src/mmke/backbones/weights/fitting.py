"""Where a stored tensor may differ in shape from the module's own: rows of the vocabulary, and places in a picture."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mmke.backbones.weights.tensor_files import Stored

SPARE_ROWS = 64
"""At most as many rows beyond the vocabulary: added tokens, and padding to a multiple of 64."""
VOCABULARY_TABLES = ("embed_tokens.weight", "lm_head.weight")
POSITION_TABLE = "embeddings.position_embedding"

Shape = tuple[int, ...]


def fitted(target: str, stored: Stored, shape: Shape) -> Stored | None:
    """Return a stored tensor in the shape that the module's tensor `target` has; None when it cannot be had."""
    if stored.shape == shape:
        return stored
    if target.endswith(VOCABULARY_TABLES):
        return _first_rows(target, stored, shape)
    if target.endswith(POSITION_TABLE):
        return _resized(stored, shape)
    return None


def resized_positions(table: Float[Tensor, "1 old hidden"], side: int) -> Float[Tensor, "1 new hidden"]:
    """Return position embeddings of a square of patches for another square, in float32.

    The first position is the class token's and is kept; the others are interpolated.

    Args:
        table: the class token's row, then those of the patches, row by row.
        side: patches along a side of the new square.

    Source: `interpolate_pos_embed` of LAVIS, lavis/models/eva_vit.py (bicubic, corners not aligned).
    """
    table = table.float()
    old = _side(table.shape[1])
    places = table[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    places = functional.interpolate(places, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], places.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def _first_rows(target: str, stored: Stored, shape: Shape) -> Stored | None:
    rows, spare = shape[0], stored.shape[0] - shape[0]
    if not 0 < spare <= SPARE_ROWS or stored.shape[1:] != shape[1:]:
        return None
    note = f"rows {rows} to {stored.shape[0] - 1} of {target}, beyond the vocabulary, are not taken"
    return replace(stored, shape=shape, read=_then(stored.read, lambda tensor: tensor[:rows]), note=note)


def _resized(stored: Stored, shape: Shape) -> Stored | None:
    if len(stored.shape) != len(shape) or stored.shape[0] != shape[0] or stored.shape[2:] != shape[2:]:
        return None
    old, new = _side(stored.shape[1]), _side(shape[1])
    if old**2 + 1 != stored.shape[1] or new**2 + 1 != shape[1]:
        return None
    note = f"position embeddings of {stored.name} are interpolated from {old}x{old} to {new}x{new} patches"
    read = _then(stored.read, lambda table: resized_positions(table, new))
    return replace(stored, shape=shape, dtype=torch.float32, read=read, note=note)


def _side(positions: int) -> int:
    return math.isqrt(positions - 1)


def _then(read: Callable[[], Tensor], change: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
    return lambda: change(read())
