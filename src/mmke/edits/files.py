"""Write an edit into a folder, and read it: the record, the tensors, the pictures.

In: a session's state, and what is known of it. Out: a folder that is there whole or not at all; and the state again,
with the same bits.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from mmke.editing import states
from mmke.editing.tensor_files import read_tensors, write_tensors
from mmke.edits.pictures import Find, edit_of, embed, needed, plain_edit, with_paths, without_paths
from mmke.edits.record import RECORD, TENSORS, EditRecord, MadeOn, MadeWith, broken, now, to_bytes
from mmke.errors import CannotAskError, UserError
from mmke.lines import write_at_once
from mmke.protocols import Backbone, EditSession, SessionState
from mmke.results.saved_session import file_sha256
from mmke.types import ASKED, Ask, Edit, Probe, Query

Batches = Sequence[Sequence[Edit]]


def check_free(folder: Path) -> None:
    """Refuse a place where an edit cannot be written.

    Raises:
        UserError: something is there already, or the folder around it cannot be written to.
    """
    if os.path.lexists(folder):
        raise UserError(f"{folder} is there already, and an edit takes a new folder; choose another name, or remove it")
    around = next(each for each in folder.absolute().parents if each.exists())
    if not around.is_dir() or not os.access(around, os.W_OK):
        raise UserError(f"{folder}: {around} is no folder that can be written to; choose another place")


def write_edit(
    folder: Path, state: SessionState, batches: Batches, *, by: MadeWith, on: MadeOn, embed_all: bool = False
) -> EditRecord:
    """Write an edit into a new folder.

    Args:
        folder: is made.
        state: of the session.
        batches: what was applied, in order.
        by: the editor.
        on: the model.
        embed_all: embed the pictures of all edits, and not only those that the session itself needs to answer.

    Raises:
        UserError: there is something already, a picture is gone, or the disk is full.
    """
    check_free(folder)
    facts = without_paths(dict(state.facts))
    images = {edit.query.image.sha256: edit.query.image for batch in batches for edit in batch if edit.query.image}
    wanted = set(images) if embed_all else needed(facts) & set(images)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        draft.mkdir(parents=True)
        write_tensors(draft / TENSORS, state.tensors)
        record = EditRecord(
            **now(),
            on=on,
            by=by,
            batches=[[plain_edit(edit) for edit in batch] for batch in batches],
            pictures=embed(draft, [images[digest] for digest in sorted(wanted)]),
            tensors=file_sha256(draft / TENSORS),
            facts=facts,
        )
        write_at_once(draft / RECORD, to_bytes(record))
        draft.rename(folder)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"the edit cannot be written to {folder} ({error}); make room, or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            shutil.rmtree(draft)
    return record


def read_edit_tensors(folder: Path, record: EditRecord) -> dict[str, Tensor]:
    """Return an edit's tensors.

    Raises:
        UserError: they are missing, broken, or others than the record says.
    """
    file = folder / TENSORS
    if file.is_symlink() or not file.is_file():
        raise broken(file, "there is no such ordinary file")
    found = file_sha256(file)
    if found != record.tensors:
        raise broken(file, f"it has the sha256 {found[:16]}…, and {RECORD} states {record.tensors[:16]}…")
    try:
        return read_tensors(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise broken(file, str(error)) from error


def batches_of(record: EditRecord, find: Find) -> list[tuple[Edit, ...]]:
    """Return the edits of a record, batch by batch."""
    return [tuple(edit_of(plain, find) for plain in batch) for batch in record.batches]


def restore(session: EditSession, backbone: Backbone, folder: Path, record: EditRecord, find: Find) -> None:
    """Load an edit's state into a session that was just opened.

    Raises:
        UserError: the state is broken, or says something else than the record.
    """
    tensors = read_edit_tensors(folder, record)
    _check_numbers(folder, tensors, backbone)
    try:
        facts = {**with_paths(record.facts, find), "backbone": backbone.name}
        edits = [edit for batch in batches_of(record, find) for edit in batch]
        if facts.get("edits", states.of_edits(edits)) != states.of_edits(edits):
            raise broken(folder / RECORD, "the session's own edits are not those that it lists")
        session.load_state(SessionState(tensors, facts))
        taken = session.state()
        _try(session, edits)
    except (UserError, torch.OutOfMemoryError):
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, RecursionError) as error:
        raise broken(
            folder / RECORD, f"{record.by.editor} cannot go on from it: {type(error).__name__}: {error}"
        ) from error
    _check_taken(folder, tensors, taken.tensors)


def _try(session: EditSession, edits: Sequence[Edit]) -> None:
    """Ask twice, so that tensors that do not fit together are told of now, and not at somebody's question."""
    images = [edit.query.image for edit in edits if edit.query.image][:1]
    for query in (Query("Is it so?"), *(Query("What is this?", image) for image in images)):
        # The picture may be gone, and this model may take no question without one.
        with suppress(CannotAskError):
            session.answer([Probe(ASKED, query, "yes")], Ask())


def _check_numbers(folder: Path, tensors: Mapping[str, Tensor], backbone: Backbone) -> None:
    """Refuse whole numbers in the place of weights: the model would fail in the middle of an answer."""
    own = dict(backbone.module.named_parameters())
    for name, tensor in tensors.items():
        bare = name.removesuffix(states.INPUTS).removesuffix(states.OUTPUTS)
        if bare in own and not tensor.is_floating_point():
            raise broken(folder / TENSORS, f"the tensor {name!r} holds {tensor.dtype}, which are no weights")


def _check_taken(folder: Path, given: Mapping[str, Tensor], taken: Mapping[str, Tensor]) -> None:
    """Refuse tensors that the editor passed over, or took for something else."""
    surplus = sorted(given.keys() - taken.keys())
    if surplus:
        raise broken(folder / TENSORS, f"it holds a tensor {surplus[0]!r} that belongs to nothing")
    for name, tensor in given.items():
        if (tensor.shape, tensor.dtype) != (taken[name].shape, taken[name].dtype):
            raise broken(folder / TENSORS, f"the tensor {name!r} has another shape or type than the editor's own")
