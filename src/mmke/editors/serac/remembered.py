"""What SERAC keeps of the edits in force: the vectors that queries are compared with.

In: vectors of edits, made once when they are applied, and of queries. Out: squared distances. Searching takes as many
operations as there are vectors times their width.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmke.backbones.engine.taping import same
from mmke.errors import UserError

TOGETHER = 1 << 24
"""Numbers of a comparison that are held at once: 64 MiB."""


class EditKeys(NamedTuple):
    """The keys of edits.

    Attributes:
        texts: a vector for each text of each edit, the oldest edit's first.
        of: the edit of each text, by index.
        pictures: a vector for each edit that has a picture, where pictures are compared.
        whose: the edit of each picture, by index.
    """

    texts: Float[Tensor, "keys width"]
    of: Int[Tensor, "keys"]
    pictures: Float[Tensor, "shown other"]
    whose: Int[Tensor, "shown"]

    @property
    def edits(self) -> int:
        """Return how many edits there are."""
        return same(lambda: int(self.of[-1])) + 1

    def joined(self, newer: "EditKeys") -> "EditKeys":
        """Return these keys, and behind them those of later edits."""
        pictures = [each.pictures for each in (self, newer) if len(each.pictures)] or [self.pictures]
        return EditKeys(
            torch.cat([self.texts, newer.texts]),
            torch.cat([self.of, newer.of + self.edits]),
            torch.cat(pictures),
            torch.cat([self.whose, newer.whose + self.edits]),
        )

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], *, edits: int, device: torch.device) -> "EditKeys":
        """Return the keys of so many edits from tensors that were saved under the names of the fields.

        Raises:
            UserError: one is missing, or they are those of other edits.
        """
        if tensors.keys() == set(cls._fields):
            keys = cls(**{name: tensor.to(device) for name, tensor in tensors.items()})
            if len(keys.of) == len(keys.texts) and keys.edits == edits and len(keys.whose) == len(keys.pictures):
                return keys
        raise UserError(
            f"the saved session does not fit: its tensors {sorted(tensors)} are not the keys of {edits} edits; "
            "it was saved by another version, so apply the edits again"
        )

    def distances(
        self,
        texts: Float[Tensor, "probes width"],
        pictures: Float[Tensor, "asked other"],
        whose: Int[Tensor, "asked"],
        *,
        alone: float = 1.0,
    ) -> Float[Tensor, "probes keys"]:
        """Return the squared distance of each probe to each key: of the texts, and of the pictures where both have one.

        Args:
            texts: of the probes.
            pictures: of the probes that have one.
            whose: the probe of each of these pictures, by index.
            alone: how often the distance of the texts counts where not both have a picture.
        """
        some = max(1, TOGETHER // max(1, self.texts.numel()))
        between = torch.cat([(part[:, None] - self.texts).square().sum(-1) for part in torch.split(texts, some)])
        if not len(pictures) or not len(self.pictures):
            return alone * between
        seen = torch.cat([(part[:, None] - self.pictures).square().sum(-1) for part in torch.split(pictures, some)])
        of_edits, both = torch.zeros(len(texts), self.edits, device=texts.device), (whose[:, None], self.whose[None])
        counted = (of_edits + alone).index_put(both, torch.ones_like(seen))
        return between * counted[:, self.of] + of_edits.index_put(both, seen)[:, self.of]
