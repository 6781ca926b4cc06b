"""What the backbone makes of a picture: a vector whose cosine says whether two show the same thing, and a name.

In: a backbone and a picture. Out: a vector of length one, and a short text. A picture is read by the backbone itself,
which is asked what it is. The name is what it writes. The vector is what an MLP high in the language model is fed at
the end of this question. There the model is about to name the thing, so that two drawings of it by different artists
are more alike than in the image encoder. All these vectors of one backbone point in nearly the same direction. So they
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

from mmke.backbones.engine.answering import answer
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.turns import alone
from mmke.digests import sha256
from mmke.editing import reading
from mmke.editors.gated_note import words
from mmke.protocols import Backbone, Store
from mmke.types import ASKED, Ask, ImageRef, Probe, Query

FIELDS = ("m_loc", "image", "image_rephrase")
"""Of a training record, the fields that name a picture of one thing."""
TOGETHER = 16
"""Pictures of the background that are read together."""
LEAST = 1e-4
"""Of the largest deviation, the share below which an axis is left out: pictures that look the same have none there."""


_whitenings: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], "Whitening"]] = WeakKeyDictionary()
"""Of each loaded model the latest whitening, and what it was made for."""


class Look(NamedTuple):
    """How a picture is read.

    Attributes:
        question: what the backbone is asked of it.
        depth: the share of the decoder layers that lie below where the vector is taken.
        tokens: how many a name has at most.
    """

    question: str
    depth: float
    tokens: int

    def site(self, backbone: Backbone) -> str:
        """Return the linear whose input is taken; it lies below the last of at least two decoder layers."""
        return f"language.{min(round(self.depth * backbone.layers), backbone.layers - 2)}.mlp_in"


@dataclass(frozen=True, eq=False)
class Whitening:
    """Principal axes of the vectors of unrelated pictures; what is seen along each has deviation one there."""

    mean: Float[Tensor, "hidden"]
    axes: Float[Tensor, "hidden dimensions"]

    @classmethod
    def of(cls, vectors: Float[Tensor, "pictures hidden"], dimensions: int) -> "Whitening":
        """Take mean and axes from some pictures; there are fewer axes than different pictures."""
        wide = vectors.double()
        mean = wide.mean(0)
        _, values, axes = torch.linalg.svd(wide - mean, full_matrices=False)
        kept = min(dimensions, int((values > LEAST * values[0]).sum()))
        deviation = values[:kept] / math.sqrt(len(vectors))
        return cls(mean.float(), (axes[:kept].T / deviation).float())

    def __call__(self, vectors: Float[Tensor, "*some hidden"]) -> Float[Tensor, "*some dimensions"]:
        """Return whitened vectors of length one."""
        return normalize((vectors - self.mean) @ self.axes, dim=-1)


def seen(backbone: Backbone, image: ImageRef, look: Look, *, store: Store) -> Float[Tensor, "hidden"]:
    """Return what the backbone makes of a picture, in float32 on the processor; not yet whitened.

    Raises:
        CannotAskError: the picture cannot be read.
    """
    fed = reading.inputs(backbone, look.site(backbone), Query(look.question, image), "last", store=store)
    return fed[0].float().cpu()


class Named(NamedTuple):
    """What the unedited model calls a picture, and the stems of that; an empty text names nothing."""

    text: str
    content: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Named":
        """Read what the model wrote; zeros at its end would be lost in a saved session."""
        return cls(text.rstrip("\0"), words.content(text))

    def same(self, other: "Named") -> bool:
        """Tell whether both have the same name."""
        return bool(self.text) and self.text == other.text

    def shows(self, other: "Named") -> bool:
        """Tell whether the name has all content words of the other one."""
        return bool(other.content) and other.content <= self.content


def named(backbone: Backbone, image: ImageRef, look: Look, *, store: Store) -> Named:
    """Return what the unedited backbone writes when it is asked what a picture is (greedy decoding).

    The prompt passes through the model once more than for `seen`: writing begins with a pass of its own.

    Raises:
        CannotAskError: the picture cannot be read.
    """

    def write() -> Named:
        probe, ask = Probe(ASKED, Query(look.question, image), ""), Ask(decode="generate", max_new=look.tokens)
        return Named.of(answer(backbone, [probe], ask, store=store)[0].text)

    return store.get((backbone.state, "named", look.question, look.tokens, image.key), write)


def whitening_for(backbone: Backbone, look: Look, pictures: int, dimensions: int) -> Whitening:
    """Return the whitening of a backbone by the first pictures of mmke's own training records.

    It is made once for a loaded model, and not once for a store or a session: reading hundreds of pictures and finding
    their axes takes far longer than an edit. The pictures' features go into no store, where they would take the place
    of what is asked for again.
    """
    key = (backbone.state, look.question, look.site(backbone), pictures, dimensions)
    with alone():  # threads may share a model
        made, whitening = _whitenings.get(backbone.module, (None, None))
        if made != key or whitening is None:
            nowhere, images = MemoryStore(0), background()[:pictures]
            parts = [images[i : i + TOGETHER] for i in range(0, len(images), TOGETHER)]
            asked = [[Query(look.question, image) for image in part] for part in parts]
            vectors = [reading.last_inputs(backbone, look.site(backbone), each, store=nowhere) for each in asked]
            whitening = Whitening.of(torch.cat(vectors).float().cpu(), dimensions)
            _whitenings[backbone.module] = key, whitening
    return whitening


@cache
def background() -> Sequence[ImageRef]:
    """Return the pictures of the small training records that come with mmke: kinds and fields in turn."""
    data = Path(str(files("mmke") / "benchmarks" / "mini"))
    records = [json.loads(path.read_bytes()) for path in sorted((data / "data_json").glob("*_train.json"))]
    paths = [
        data / "data_image" / each[field] for field in FIELDS for row in zip(*records, strict=False) for each in row
    ]
    # Records have pictures of the same bytes under several names.
    return tuple({(digest := sha256(path)): ImageRef(path, digest) for path in dict.fromkeys(paths)}.values())
