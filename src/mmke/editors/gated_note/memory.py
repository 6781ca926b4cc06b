"""What the gated note makes of the edits in force, and the way to a saved session and back.

In: an edit's vectors, picture, the picture's name, words and patch. Out: a memory with one more edit; or tensors by
name, and the memory of these.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmke.editing import states
from mmke.editors.gated_note.gate import Said, Sight
from mmke.editors.gated_note.pictures import Named, Whitening
from mmke.errors import UserError
from mmke.protocols import Weights
from mmke.types import Edit

VECTORS, OWNERS, PICTURES, NAMES, MEAN, AXES = "vectors", "owners", "looks", "names", "mean", "axes"
"""Names of what a saved session holds beside the patches. One of an earlier version has "pictures" in place of
"looks", or no "names", and is refused."""
PATCH = "patch."
"""Before the name of a factor of all patches."""


class Memory(NamedTuple):
    """What is made of the edits in force, in their order.

    Attributes:
        vectors: of their texts, each with several.
        owners: to which edit a vector belongs.
        pictures: whitened vectors of their pictures; zeros where an edit has none.
        names: what the unedited model calls their pictures; empty where an edit has none.
        said: what each of them says.
        patches: theirs; all have one, or none has.
        whitening: of all pictures, of edits and of questions.
    """

    vectors: Float[Tensor, "texts hidden"]
    owners: Int[Tensor, "texts"]
    pictures: Float[Tensor, "edits dimensions"]
    names: tuple[Named, ...]
    said: tuple[Said, ...]
    patches: tuple[Weights, ...]
    whitening: Whitening

    @classmethod
    def empty(cls, whitening: Whitening, hidden: int) -> "Memory":
        """Return a memory without an edit; `hidden` is the width of a text's vector."""
        nothing = torch.empty(0, whitening.axes.shape[1])
        return cls(torch.empty(0, hidden), torch.empty(0, dtype=torch.long), nothing, (), (), (), whitening)

    def further(
        self, vectors: Float[Tensor, "texts hidden"], picture: Tensor, named: Named, said: Said, patch: Weights
    ) -> "Memory":
        """Return the memory with one more edit."""
        owners = torch.full((len(vectors),), len(self.said))
        return Memory(
            torch.cat([self.vectors, vectors]),
            torch.cat([self.owners, owners]),
            torch.cat([self.pictures, picture[None]]),
            (*self.names, named),
            (*self.said, said),
            (*self.patches, patch),
            self.whitening,
        )

    def likeness(self, vector: Float[Tensor, "hidden"]) -> Float[Tensor, "edits"]:
        """Return for each edit the highest cosine of a vector with one of its texts."""
        highest = torch.full((len(self.said),), -1.0)
        return highest.scatter_reduce(0, self.owners, self.vectors @ vector, "amax")

    def sight(self, picture: Float[Tensor, "dimensions"], named: Named) -> Sight:
        """Return what a question's picture has to do with those of the edits; `picture` is its whitened vector."""
        same = [float(named.same(each)) for each in self.names]
        shown = [float(named.shows(each)) for each in self.names]
        return Sight(self.pictures @ picture, torch.tensor(same), torch.tensor(shown))

    def tensors(self) -> Mapping[str, Tensor]:
        """Return what a saved session holds: vectors, names, the whitening, and of each matrix all patches' factors."""
        flat = [states.flat(patch) for patch in self.patches]
        patches = {PATCH + name: torch.stack([each[name] for each in flat]) for name in flat[0]}
        white = {MEAN: self.whitening.mean, AXES: self.whitening.axes}
        own = {VECTORS: self.vectors, OWNERS: self.owners, PICTURES: self.pictures, NAMES: _written(self.names)}
        return {**own, **white, **patches}

    @classmethod
    def of(
        cls, tensors: Mapping[str, Tensor], edits: Sequence[Edit], wanted: Mapping[str, Tensor], *, editor: str
    ) -> "Memory":
        """Return the memory of what `tensors` returned; nothing is read or trained again.

        Args:
            tensors: by name.
            edits: all in force, at least one.
            wanted: the backbone's own matrices that have a patch, by name.
            editor: for the message.

        Raises:
            UserError: a tensor is missing, surplus, or of another shape.
        """
        stacked = {name.removeprefix(PATCH): value for name, value in tensors.items() if name.startswith(PATCH)}
        held = {name: value.cpu() for name, value in tensors.items() if not name.startswith(PATCH)}
        whole = set(held) == {VECTORS, OWNERS, PICTURES, NAMES, MEAN, AXES} and _fits(held, len(edits))
        if not whole or {len(value) for value in stacked.values()} - {len(edits)}:
            raise UserError(f"{editor}: the saved session does not fit its {len(edits)} edits; make the edits again")
        patches = [
            states.nested({name: value[i] for name, value in stacked.items()}, wanted, editor=editor)
            for i in range(len(edits))
        ]
        said = tuple(Said.of(edit.query.text, edit.target) for edit in edits)
        white = Whitening(held[MEAN], held[AXES])
        return cls(held[VECTORS], held[OWNERS], held[PICTURES], _read(held[NAMES]), said, tuple(patches), white)


def _fits(held: Mapping[str, Tensor], edits: int) -> bool:
    """Tell whether tensors are those of so many edits: their shapes, and that each edit owns a text."""
    vectors, owners, pictures, mean, axes = (held[name] for name in (VECTORS, OWNERS, PICTURES, MEAN, AXES))
    if (vectors.ndim, owners.ndim, pictures.ndim, mean.ndim, axes.ndim) != (2, 1, 2, 1, 2):
        return False
    if held[NAMES].ndim != 2 or held[NAMES].dtype != torch.uint8 or len(held[NAMES]) != edits:
        return False
    whole = axes.shape == (len(mean), pictures.shape[1]) and len(vectors) == len(owners) and len(pictures) == edits
    return whole and owners.dtype == torch.long and set(owners.tolist()) == set(range(edits))


def _written(names: Sequence[Named]) -> UInt8[Tensor, "edits longest"]:
    """Return names as rows of UTF-8, with zeros behind them."""
    rows = [torch.tensor(list(each.text.encode()), dtype=torch.uint8) for each in names]
    return pad_sequence(rows, batch_first=True)


def _read(rows: UInt8[Tensor, "edits longest"]) -> tuple[Named, ...]:
    return tuple(Named.of(bytes(row).rstrip(b"\0").decode(errors="replace")) for row in rows.tolist())
