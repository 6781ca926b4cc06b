"""What answers: a model alone, a saved edit on it, or edits that are made for this and not kept.

`check` finds everything that can be wrong without weights; `open` then loads the model, with the edits in force.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from mmke.edits.applying import Planned, applied
from mmke.edits.kept import KeptSession
from mmke.edits.loading import Stack
from mmke.edits.opening import Where, in_force, skeleton_of
from mmke.protocols import Answerer, Backbone
from mmke.running.loading import load_backbone
from mmke.types import Edit


class Opened(NamedTuple):
    """A loaded model, and a session in which the edits hold; None where nothing was edited."""

    backbone: Backbone
    session: KeptSession | None

    @property
    def answers(self) -> Answerer | KeptSession:
        """Return who answers: the session where there is one."""
        return self.backbone if self.session is None else self.session


@dataclass(frozen=True)
class Answering:
    """A model and what is edited in it.

    Attributes:
        where: where it is loaded; without a saved edit it names the backbone.
        edited: saved edits, or planned ones; None: the model alone.
    """

    where: Where
    edited: Stack | Planned | None = None

    @property
    def backbone(self) -> str:
        """Return the model's name."""
        if isinstance(self.edited, Planned):
            return self.edited.request.backbone
        return self.where.backbone or (self.edited.on if self.edited is not None else "smol-llava")

    @property
    def editor(self) -> str | None:
        """Return the editor's name; None of the model alone."""
        return None if self.edited is None else self.edited.editor.name

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Return all edits."""
        return () if self.edited is None else tuple(edit for batch in self.edited.batches for edit in batch)

    def check(self) -> None:
        """Look at the model without weights.

        Raises:
            UserError: it is not here, or is not the one that was edited.
        """
        if isinstance(self.edited, Stack):
            skeleton_of(self.edited, self.where)
        elif self.edited is None:  # a plan was made on the skeleton
            self._load(skeleton=True)

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Load the model with the edits in force.

        Raises:
            UserError: files are broken, an edit cannot be made, or too little memory.
        """
        if isinstance(self.edited, Stack):
            with in_force(self.edited, self.where) as (backbone, session):
                yield Opened(backbone, session)
        elif isinstance(self.edited, Planned):
            with applied(self.edited) as (backbone, session):
                yield Opened(backbone, session)
        else:
            yield Opened(self._load(), None)

    def _load(self, *, skeleton: bool = False) -> Backbone:
        where = self.where
        return load_backbone(
            self.backbone, dtype=where.dtype, device=where.device, weights=where.weights, skeleton=skeleton
        )
