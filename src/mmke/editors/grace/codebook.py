"""GRACE's codebook: keys with radii, and what becomes of them when an edit is made.

In: the key of a query or of an edit. Out: the entry that is hit, or the place of the edit. Nothing here knows of a
model.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmke.errors import UserError

MARGIN = 1e-5
"""By which the older of two touching radii is smaller, so that they have no point in common."""


class Nearest(NamedTuple):
    """The entry whose key is nearest; of equally near ones the newest. `distance` is Euclidean."""

    entry: int
    distance: float


class Place(NamedTuple):
    """Which entry an edit is written into, the next one if it is new; and the radii of all entries then."""

    entry: int
    radii: Float[Tensor, "entries"]


class Codebook(NamedTuple):
    """Entries in the order in which they were made.

    Attributes:
        keys: in the model's precision.
        values: what the module hands on where an entry is hit, in float32.
        radii: up to this distance from its key an entry is hit, in float64.
        edits: the newest edit that is written into each entry, by index.
    """

    keys: Float[Tensor, "entries into"]
    values: Float[Tensor, "entries out"]
    radii: Float[Tensor, "entries"]
    edits: Int[Tensor, "entries"]

    @classmethod
    def empty(cls, key: Float[Tensor, "into"], out: int) -> "Codebook":
        """Return a codebook without entries, for keys like this one and values of a width."""
        device = key.device
        return cls(
            key.new_empty(0, len(key)),
            torch.empty(0, out, device=device),
            torch.empty(0, dtype=torch.float64, device=device),
            torch.empty(0, dtype=torch.long, device=device),
        )

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], *, into: int, out: int, edits: int) -> "Codebook":
        """Return a codebook for a matrix [out into] and so many edits from tensors that were saved under these names.

        Raises:
            UserError: one is missing, or it is a codebook of another module or of other edits.
        """
        if tensors.keys() == set(cls._fields):
            book = cls(**tensors)
            count = len(book.radii)
            shapes = [(count, into), (count, out), (count,), (count,)]
            numbers = book.edits.tolist()
            if [tuple(each.shape) for each in book] == shapes and numbers and 0 <= min(numbers) <= max(numbers) < edits:
                return book
        raise UserError(
            f"grace: the saved session does not fit: its tensors {sorted(tensors)} are no codebook of {edits} edits of "
            f"a matrix [{out} {into}]; it was saved under another site, so open the session with that setting"
        )

    def nearest(self, key: Float[Tensor, "into"]) -> Nearest:
        """Return the entry that is nearest to a key; there has to be one."""
        # Computed in float32, entry by entry: equal keys have the distance 0 to the last bit.
        distances = (self.keys.float() - key.float()).norm(dim=-1)
        entry = len(distances) - 1 - int(distances.flip(0).argmin())
        return Nearest(entry, float(distances[entry]))

    def hit(self, key: Float[Tensor, "into"]) -> int | None:
        """Return the nearest entry where a key lies within its radius; else None."""
        entry, distance = self.nearest(key)
        return entry if distance <= float(self.radii[entry]) else None

    def place(self, key: Float[Tensor, "into"], *, radius: float, same: Callable[[int], bool]) -> Place:
        """Return where an edit is written.

        Args:
            key: of the edit.
            radius: of a new entry that stands alone.
            same: tells whether an entry has the edit's target.
        """
        new = len(self.keys)
        near = self.nearest(key) if new else Nearest(0, float("inf"))
        if not new or near.distance > radius + float(self.radii[near.entry]):
            return Place(new, _with(self.radii, self.radii.new_full((), radius)))
        radii = self.radii.clone()
        if same(near.entry):
            radii[near.entry] = max(near.distance, float(radii[near.entry]))
            return Place(near.entry, radii)
        radii[near.entry] = near.distance / 2 - MARGIN
        return Place(new, _with(radii, radii.new_full((), near.distance / 2)))

    def written(
        self, place: Place, *, key: Float[Tensor, "into"], value: Float[Tensor, "out"], edit: int
    ) -> "Codebook":
        """Return the codebook after an edit was written to its place; an entry that is there keeps its key."""
        if place.entry == len(self.keys):
            number = self.edits.new_full((), edit)
            return Codebook(_with(self.keys, key), _with(self.values, value), place.radii, _with(self.edits, number))
        values, edits = self.values.clone(), self.edits.clone()
        values[place.entry], edits[place.entry] = value, edit
        return Codebook(self.keys, values, place.radii, edits)


def _with(some: Tensor, new: Tensor) -> Tensor:
    return torch.cat([some, new[None]])
