"""The plain loop: what every speed is held against.

It is the published way without its mistakes: the whole model at every step, one probe a forward pass, the picture
encoded each time, no cache, each forward once; each query is a sequence by itself under ordinary causal attention, and
the logits are computed at every position.

It stands in for the backbone alone. Schedule, editors, optimiser, prompts, metrics and rows are the project's own, so
that the two sides differ in nothing but how logits come about, and their rows can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.weights import call_with
from mmke.protocols import Batch, Cut, Encoded, Store, Trunk, Weights
from mmke.types import Ask, ImageRef, Query


class Forward(NamedTuple):
    """One forward pass, for counting.

    Attributes:
        encoded: the query; the keys of image positions name the picture by its number in the batch.
        image: the picture.
        edited: whether edited tensors stood in.
        step: whether a gradient was taken.
    """

    encoded: Encoded
    image: ImageRef | None
    edited: bool
    step: bool


@dataclass(frozen=True, eq=False)
class PlainBackbone:
    """A backbone that is not cut: its trunk is nothing, its tail the whole model, query by query.

    Attributes:
        whole: the backbone that it wraps.
        log: every forward pass so far.
    """

    whole: ComposedBackbone
    log: list[Forward] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        """Take names, sites, tokenizer and limits from the backbone that it wraps."""
        return getattr(self.whole, name)

    def encode(self, queries: Sequence[Query], targets: Sequence[str], ask: Ask) -> Batch:
        """Apply the prompt and tokenise; nothing is packed."""
        images = list(dict.fromkeys(query.image for query in queries if query.image is not None))
        encoded = tuple(
            self.whole.prompt.encode(
                query.text, target, image=-1 if query.image is None else images.index(query.image), ask=ask
            )
            for query, target in zip(queries, targets, strict=True)
        )
        return Batch(encoded, tuple(images), (), str(hash((encoded, tuple(images)))))

    def trunk(self, batch: Batch, cut: Cut, *, store: Store) -> Trunk:
        """Compute nothing."""
        return Trunk(cut, batch)

    def tail(self, trunk: Trunk, weights: Weights) -> Tensor:
        """Return the logits of every wanted row, one whole forward pass a query."""
        step = torch.is_grad_enabled() and bool(weights)
        for encoded in trunk.batch.encoded:
            self.log.append(Forward(encoded, self._image(encoded, trunk.batch), edited=bool(weights), step=step))
        return call_with(self.whole.module, weights, self._tail, trunk.batch)

    def _image(self, encoded: Encoded, batch: Batch) -> ImageRef | None:
        lowest = min(encoded.keys)
        return None if lowest >= 0 else batch.images[(-1 - lowest) // self.whole.image_tokens]

    def _tail(self, batch: Batch) -> Tensor:
        return torch.cat([self._forward(each, self._image(each, batch))[list(each.rows)] for each in batch.encoded])

    def _forward(self, encoded: Encoded, image: ImageRef | None) -> Tensor:
        """Return the logits of all positions of one query [seq vocab]."""
        keys = torch.tensor(encoded.keys, device=self.whole.device)
        embeds = self.whole.decoder.embed(keys.clamp(min=0))
        if image is not None:
            embeds = embeds.masked_scatter((keys < 0)[:, None], self._look(image).to(embeds.dtype))
        hidden = self.whole.decoder.model(inputs_embeds=embeds[None], use_cache=False).last_hidden_state
        logits: Tensor = self.whole.decoder.head(hidden)[0]
        return logits

    def _look(self, image: ImageRef) -> Tensor:
        """Return a picture's embeddings [image_tokens hidden]."""
        with Image.open(image.path) as picture:
            pixels = self.whole.vision.pixels(picture)[None].to(self.whole.device)
        return self.whole.vision.align(self.whole.vision.encode(pixels))[0]
