"""Pictures as vectors whose cosine says whether they show the same thing.

In: a backbone and a picture. Out: vectors of length one. A picture is read by the backbone itself: the mean of the
embeddings at its positions, of the whole and, where the positions are a square, of its left and right half, so that a
thing is found that stands beside another. All these vectors of one backbone point in nearly the same direction. So they
are whitened by pictures that have nothing to do with the edits: those of the small training records that come with
mmke, from which mean and principal axes are taken, once for a backbone.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.turns import alone
from mmke.digests import sha256
from mmke.protocols import INPUTS, Backbone, Store
from mmke.types import Ask, ImageRef, Query

FIELDS = ("m_loc", "image", "image_rephrase")
"""Of a training record, the fields that name a picture of one thing."""
LEAST = 1e-6
"""Added to a deviation, so that nothing is divided by zero."""


_whitenings: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], "Whitening"]] = WeakKeyDictionary()
"""Of each loaded model the latest whitening, and what it was made for."""


class Views(NamedTuple):
    """A picture's vectors: of the whole, and of the whole and its halves [views dimensions]."""

    whole: Float[Tensor, "dimensions"]
    all: Float[Tensor, "views dimensions"]


@dataclass(frozen=True, eq=False)
class Whitening:
    """Principal axes of the vectors of unrelated pictures; what is seen along each has deviation one there."""

    mean: Float[Tensor, "hidden"]
    axes: Float[Tensor, "hidden dimensions"]

    @classmethod
    def of(cls, vectors: Float[Tensor, "pictures hidden"], dimensions: int) -> "Whitening":
        """Take mean and axes from some pictures; there are fewer axes than pictures."""
        wide = vectors.double()
        mean = wide.mean(0)
        _, values, axes = torch.linalg.svd(wide - mean, full_matrices=False)
        kept = min(dimensions, len(vectors) - 1)
        deviation = values[:kept] / math.sqrt(len(vectors)) + LEAST
        return cls(mean.float(), (axes[:kept].T / deviation).float())

    def __call__(self, vectors: Float[Tensor, "*some hidden"]) -> Float[Tensor, "*some dimensions"]:
        """Return whitened vectors of length one."""
        return normalize((vectors - self.mean) @ self.axes, dim=-1)


def views(backbone: Backbone, image: ImageRef, whitening: Whitening, *, store: Store) -> Views:
    """Return a picture's whitened vectors.

    Raises:
        CannotAskError: the picture cannot be read.
    """
    seen = whitening(seen_of(backbone, image, store=store))
    return Views(seen[0], seen)


def seen_of(backbone: Backbone, image: ImageRef, *, store: Store) -> Float[Tensor, "views hidden"]:
    """Return the mean embedding of a picture's positions: of all, and where they are a square of each half."""

    def make() -> Tensor:
        batch = backbone.encode([Query("", image)], ["."], Ask())
        state = backbone.trunk(batch, INPUTS, store=store).hidden[0][0]
        places = sent(batch.encoded[0].input_ids[: len(state)], state.device) < 0
        embeds = state[places].float()
        return torch.stack([part.mean(0) for part in [embeds, *_halves(embeds)]]).cpu()

    return store.get((backbone.state, "seen", image.key), make)


def whitening_for(backbone: Backbone, pictures: int, dimensions: int) -> Whitening:
    """Return the whitening of a backbone by the first pictures of mmke's own training records.

    It is made once for a loaded model, and not once for a store or a session: reading hundreds of pictures and finding
    their axes takes far longer than an edit. The pictures' features go into no store, where they would take the place
    of what is asked for again.
    """
    key = (backbone.state, pictures, dimensions)
    with alone():  # threads may share a model
        made, whitening = _whitenings.get(backbone.module, (None, None))
        if made != key or whitening is None:
            nowhere = MemoryStore(0)
            seen = [seen_of(backbone, image, store=nowhere)[0] for image in background()[:pictures]]
            whitening = Whitening.of(torch.stack(seen), dimensions)
            _whitenings[backbone.module] = key, whitening
    return whitening


@cache
def background() -> Sequence[ImageRef]:
    """Return the pictures of the small training records that come with mmke: kinds and fields in turn."""
    data = Path(str(files("mmke") / "benchmarks" / "mini"))
    records = [json.loads(path.read_bytes()) for path in sorted((data / "data_json").glob("*_train.json"))]
    named = [each[field] for field in FIELDS for row in zip(*records, strict=False) for each in row]
    paths = [data / "data_image" / name for name in named]
    # Records have pictures of the same bytes under several names.
    return tuple({(digest := sha256(path)): ImageRef(path, digest) for path in dict.fromkeys(paths)}.values())


def _halves(embeds: Float[Tensor, "positions hidden"]) -> list[Tensor]:
    side = math.isqrt(len(embeds))
    if side * side != len(embeds) or side == 1:
        return []
    rows = embeds.reshape(side, side, -1)
    return [half.flatten(0, 1) for half in (rows[:, : (side + 1) // 2], rows[:, side // 2 :])]
