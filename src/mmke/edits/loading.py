"""Load an edit into a session: one, or several on top of each other.

In: folders and a loaded backbone. Out: a session that answers with the bits of the one that was saved. A further edit
is applied again on top, batch by batch, which is what one session would have done with all of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmke.backbones.engine.store import MemoryStore
from mmke.edits.files import batches_of, restore
from mmke.edits.kept import KeptEditor, KeptSession
from mmke.edits.making import fill, make_again
from mmke.edits.pictures import ABSENT, Find, finder
from mmke.edits.record import EditRecord, read_record
from mmke.edits.telling import made_with, shown, unlike
from mmke.errors import UserError
from mmke.protocols import Backbone, Store
from mmke.types import Edit, EditCase

RANDOM = "random, seed 0"
"""Revision of random weights: two models of one name alone have the same."""
HF = "hf:"


@dataclass(frozen=True)
class Found:
    """An edit that was read, without its tensors: everything that can be wrong before weights are read was looked at.

    Attributes:
        folder: of the edit.
        record: what it says.
        find: finds its pictures.
    """

    folder: Path
    record: EditRecord
    find: Find

    @property
    def batches(self) -> list[tuple[Edit, ...]]:
        """Return its edits, batch by batch."""
        return batches_of(self.record, self.find)

    def check_replay(self) -> None:
        """Refuse to apply its edits again where a picture is not there.

        Raises:
            UserError: the message names the edit and what helps.
        """
        absent = [
            number
            for number, edit in enumerate((edit for batch in self.batches for edit in batch), 1)
            if edit.query.image is not None and edit.query.image.path.parent == ABSENT
        ]
        if absent:
            raise UserError(
                f"{self.folder}: the picture of edit {absent[0]} is neither embedded nor found, and applying it again "
                "reads it; give the folder with the pictures (--pictures DIR), or make the edit with --embed"
            )


@dataclass(frozen=True)
class Stack:
    """Edits in force together, the lowest first, with the editor of them all.

    Attributes:
        edits: at least one; the first is loaded, the others are applied again.
        editor: made, without networks.
        checkpoint: that its networks are filled from; None: it has none.
    """

    edits: tuple[Found, ...]
    editor: KeptEditor
    checkpoint: Path | None

    @property
    def on(self) -> str:
        """Return the name of the backbone."""
        return self.edits[0].record.on.backbone

    @property
    def batches(self) -> list[tuple[Edit, ...]]:
        """Return all edits, batch by batch."""
        return [batch for found in self.edits for batch in found.batches]

    @contextmanager
    def open(self, backbone: Backbone, store: Store | None = None) -> Iterator[KeptSession]:
        """Begin a session with these edits in force.

        Raises:
            UserError: the weights are others, or a file is broken.
        """
        for found in self.edits:
            check_weights(found, backbone)
        self.editor.check(backbone)
        fill(self.editor.editor, backbone, self.checkpoint)
        with self.editor.open(backbone, MemoryStore() if store is None else store) as session:
            self.put_in_force(session, backbone)
            yield session

    def put_in_force(self, session: KeptSession, backbone: Backbone) -> None:
        """Load the first edit into a session of the editor, and apply the others again on top.

        Raises:
            UserError: a file is broken.
        """
        first, *others = self.edits
        restore(session, backbone, first.folder, first.record, first.find)
        session.batches = first.batches
        for batch in (batch for found in others for batch in found.batches):
            session.apply(batch)


def find_edit(folder: str | Path, *, pictures: str | Path | None = None) -> Found:
    """Read what an edit says, and look at its pictures.

    Raises:
        UserError: it is none, or broken.
    """
    place = Path(folder).expanduser()
    record = read_record(place)
    return Found(place, record, finder(place, record, None if pictures is None else Path(pictures).expanduser()))


def stack(
    folders: Sequence[str | Path],
    *,
    pictures: str | Path | None = None,
    checkpoint: str | Path | None = None,
    train: Sequence[EditCase] | None = None,
) -> Stack:
    """Read edits that are to be in force together, the lowest first.

    Args:
        folders: of the edits, at least one.
        pictures: folder with the pictures that are not embedded.
        checkpoint: of the editor's networks; None: the usual places.
        train: training records for an editor that takes demonstrations from them; None: the embedded ones.

    Raises:
        UserError: one is broken, of another editor or of other weights, or cannot be applied again.
    """
    edits = tuple(find_edit(folder, pictures=pictures) for folder in folders)
    first, *others = edits
    for found in others:
        _check_together(first, found)
        found.check_replay()
    editor, networks = make_again(
        first.folder,
        first.record,
        backbone=first.record.on.backbone,
        checkpoint=None if checkpoint is None else Path(checkpoint).expanduser(),
        train=train,
    )
    return Stack(edits, editor, networks)


@contextmanager
def load_edit(
    path: str | Path,
    backbone: Backbone,
    *,
    pictures: str | Path | None = None,
    checkpoint: str | Path | None = None,
    train: Sequence[EditCase] | None = None,
    store: Store | None = None,
) -> Iterator[KeptSession]:
    """Open a session that goes on from a saved edit, and answers with the same bits.

    Args:
        path: of the folder that `session.save` or `mmke edit` wrote.
        backbone: loaded, with the weights that were edited.
        pictures: folder with the pictures that are not embedded.
        checkpoint: of an editor with trained networks; None: the usual places.
        train: training records for an editor that takes demonstrations from them; None: the embedded ones.
        store: keeps what is computed once; None: an empty one.

    Raises:
        UserError: it is no edit, a broken one, one of other weights, or of an editor or settings that this version does
            not know. Nothing in the folder is executed.
    """
    with stack([path], pictures=pictures, checkpoint=checkpoint, train=train).open(backbone, store) as session:
        yield session


def check_weights(found: Found, backbone: Backbone) -> None:
    """Refuse other weights than those that were edited; the folder of an `hf:` model may be called otherwise.

    Raises:
        UserError: the message names both.
    """
    on = found.record.on
    moved = all(name.startswith(HF) for name in (on.backbone, backbone.name)) and on.weights_revision != RANDOM
    if on.weights_revision != backbone.revision or (on.backbone != backbone.name and not moved):
        raise UserError(
            f"{found.folder} was made on {shown(on.backbone)} with the weights {shown(on.weights_revision)!r}, and "
            f"this is {backbone.name} with {backbone.revision!r}; load those weights, or make the edit again on these"
        )


def _check_together(first: Found, other: Found) -> None:
    facts = [
        {"backbone": each.on.backbone, "weights": each.on.weights_revision, **made_with(each)}
        for each in (other.record, first.record)
    ]
    for key, there, here in unlike(*facts):
        raise UserError(
            f"{other.folder} cannot stand on {first.folder}: they differ in {key.replace('settings.', 'the setting ')} "
            f"({shown(there)} and {shown(here)}); a stack has one model and one editor"
        )
