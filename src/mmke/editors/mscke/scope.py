"""MSCKE's scope classifier: how near a query, as a text with a picture, is to what has been edited.

Source: Zeng et al., arXiv:2411.12790. A query is [t ; v], the vectors of its text and of its picture, each of length
one; its similarity to an edit is exp(-‖query − edit‖²), and it is in scope where that is above one half.

Where the query or the edit has no picture, v is 0 on both sides and the squared distance of the texts is doubled: the
text stands in for the picture. With v = 0 on one side alone that distance would be 1, and no question in text could be
in the scope of an edit with a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmke.backbones.engine.sending import sent
from mmke.editors.mscke.encoders import Encoders
from mmke.editors.serac.remembered import EditKeys
from mmke.editors.serac.scope import Nearness, Shown, newest_of_nearest, rows
from mmke.protocols import Backbone, Store
from mmke.types import Edit, Query

ALONE = 2.0
"""How often the squared distance of texts counts where not both have a picture."""


@dataclass(frozen=True)
class OneKey:
    """A query's text is its question. An edit's is its question, with its answer or without."""

    with_answer: bool

    def of_edit(self, edit: Edit) -> tuple[str, ...]:
        """Return the edit's text."""
        return (f"{edit.query.text} {edit.target}" if self.with_answer else edit.query.text,)

    def of_probe(self, question: str, answer: str) -> str:
        """Return the question; the answer is never read."""
        del answer
        return question


class JointScope(nn.Module):
    """The classifier: what of it is trained is its parameters."""

    compares_pictures: bool = True

    def __init__(self, encoders: Encoders, *, head: int) -> None:
        """Lay it out.

        Args:
            encoders: read texts and pictures.
            head: width of the two trained layers behind each of their vectors; 0: none.
        """
        super().__init__()
        self.clip = encoders.trained
        # In a tuple, so that encoders that are not trained are no part of the module.
        self.encoders = (encoders,)
        self.text_head, self.picture_head = (_head(width, head) for width in encoders.widths)

    def texts(self, texts: Sequence[str], store: Store) -> Float[Tensor, "n width"]:
        """Return the vectors of texts, each of length one."""
        return normalize(self.text_head(self.encoders[0].texts(texts, store)), dim=-1)

    def pictures(self, backbone: Backbone, queries: Sequence[Query], store: Store) -> list[Tensor | None]:
        """Return what is read of each query's picture; None where it has none."""
        return [self.encoders[0].read(backbone, query, store) for query in queries]

    def nearest(self, probes: Sequence[str], edits: Sequence[Sequence[str]], store: Store, shown: Shown) -> Nearness:
        """Return the nearest edit of each probe, with gradient; of equally near ones the newest."""
        return self.near(probes, shown.probes, self.keys(edits, shown.edits, store), store)

    def keys(self, edits: Sequence[Sequence[str]], pictures: Sequence[Tensor | None], store: Store) -> EditKeys:
        """Return the vectors of edits, each of its own text and picture alone."""
        texts = self.texts(list(chain.from_iterable(edits)), store)
        of = sent([i for i, some in enumerate(edits) for _ in some], texts.device)
        return EditKeys(texts, of, *self._seen(pictures, texts.device))

    def near(self, probes: Sequence[str], pictures: Sequence[Tensor | None], keys: EditKeys, store: Store) -> Nearness:
        """Return the nearest edit of each probe from the edits' vectors."""
        distinct = list(dict.fromkeys(probes))
        place = {text: i for i, text in enumerate(distinct)}
        texts = rows(self.texts(distinct, store), [place[text] for text in probes])
        return newest_of_nearest(keys.distances(texts, *self._seen(pictures, texts.device), alone=ALONE), keys)

    def _seen(
        self, pictures: Sequence[Tensor | None], device: torch.device
    ) -> tuple[Float[Tensor, "shown width"], Int[Tensor, "shown"]]:
        """Return the vectors of the pictures that there are, each of length one, and whose they are."""
        there = {i: each for i, each in enumerate(pictures) if each is not None}
        whose = sent(list(there), device, torch.long)
        if not there:
            return torch.zeros(0, 0, device=device), whose
        return normalize(self.picture_head(self.encoders[0].pictures(list(there.values()))), dim=-1), whose


def _head(into: int, width: int) -> nn.Module:
    """Return two layers, or nothing where the width is 0; what goes in has unit deviation."""
    if not width:
        return nn.Identity()
    return nn.Sequential(
        nn.LayerNorm(into, elementwise_affine=False), nn.Linear(into, width), nn.ReLU(), nn.Linear(width, width)
    )
