"""An editor that knows how it was made, and sessions of it that can be saved: what `mmke.load_editor` gives.

Every session of the package answers through here as it does by itself. What is added: the edits are kept in their
order, and a seed is set before each batch, so that applying them again makes the same bits.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmke.backbones.engine.cards import cards_of
from mmke.edits.files import write_edit
from mmke.edits.record import EditRecord, MadeOn, MadeWith
from mmke.errors import UserError
from mmke.protocols import Backbone, Cut, Editor, EditSession, SessionState, Store
from mmke.results.saved_session import digest_of
from mmke.types import Answer, Asks, Edit, EditCase, Probe


@dataclass
class KeptSession:
    """A session of any editor that can be saved.

    Attributes:
        session: the editor's own.
        backbone: that is edited.
        by: the editor and how it was made.
        batches: what was applied, in order; None: a state was loaded whose edits are not known.
    """

    session: EditSession
    backbone: Backbone
    by: MadeWith
    batches: list[tuple[Edit, ...]] | None = field(default_factory=list)

    def apply(self, edits: Sequence[Edit]) -> None:
        """Apply the edits of one batch together, on top of the batches before."""
        devices = [card for card in cards_of(self.backbone.module) if card.type == "cuda"]
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.by.seed)
            self.session.apply(edits)
        if edits and self.batches is not None:
            self.batches.append(tuple(edits))

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe as the edited model does."""
        return self.session.answer(probes, ask)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the edited model as an ordinary module."""
        return self.session.module()

    def state(self) -> SessionState:
        """Return the result of the edits so far."""
        return self.session.state()

    def load_state(self, state: SessionState) -> None:
        """Replace what was applied here by the state of another session."""
        self.session.load_state(state)
        self.batches = None

    def save(self, path: str | Path, *, embed_pictures: bool = False) -> EditRecord:
        """Write the edits of this session into a new folder, from which `mmke.load_edit` goes on with the same bits.

        Args:
            path: of the folder.
            embed_pictures: put in the pictures of all edits, and not only those that this editor needs to answer.
                Without them an edit of weights answers all the same, but cannot be made again in a stack.

        Raises:
            UserError: the folder is there already, nothing was applied, or the edits are not known.
        """
        if self.batches is None:
            raise UserError(
                "this session took over a state by load_state, which does not say what was edited; apply the edits "
                "here, or load an edit with mmke.load_edit, and save that"
            )
        if not self.batches:
            raise UserError("nothing was edited in this session yet; call apply(edits) first, then save(path)")
        folder = Path(path).expanduser()
        return write_edit(
            folder, self.state(), self.batches, by=self.by, on=made_on(self.backbone), embed_all=embed_pictures
        )

    def __getattr__(self, name: str) -> Any:
        # What only some sessions have, such as `decide`.
        return getattr(self.__dict__["session"], name)


@dataclass
class KeptEditor:
    """An editor with how it was made; see `protocols.Editor` for what its methods promise."""

    editor: Editor
    by: MadeWith

    @property
    def name(self) -> str:
        """Return the registered name."""
        return self.editor.name

    def check(self, backbone: Backbone) -> None:
        """Resolve every edit site."""
        self.editor.check(backbone)

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return the highest cut below all that is edited in the backbone."""
        return self.editor.cut(backbone)

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[KeptSession]:
        """Begin a session that can be saved."""
        with self.editor.open(backbone, store) as session:
            yield KeptSession(session, backbone, self.by)

    def __getattr__(self, name: str) -> Any:
        # What only some editors have, such as `network`.
        return getattr(self.__dict__["editor"], name)


def made_on(backbone: Backbone) -> MadeOn:
    """Return what a record says of a model."""
    return MadeOn(
        backbone=backbone.name,
        weights_revision=backbone.revision,
        prompt_revision=backbone.prompt_revision,
        dtype=str(backbone.dtype).removeprefix("torch."),
        device=backbone.device.type,
    )


def records_digest(train: Sequence[EditCase]) -> str | None:
    """Return a digest of training records, from whose texts an editor may take demonstrations; None: there are none."""
    texts = [
        [
            case.id,
            [[edit.query.text, edit.target] for edit in case.edits],
            [[p.query.text, p.target] for p in case.probes],
        ]
        for case in train
    ]
    return digest_of(texts) if train else None
