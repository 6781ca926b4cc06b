"""Make edits and write them into a folder: new ones, several edits together, or an edit without some of its edits.

Everything that can be wrong is found before weights are read: names, settings, pictures, questions that the model
cannot be asked, and the folder that is to be written.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mmke.backbones.engine.store import MemoryStore
from mmke.editing.trained import check_weights, digest, read_facts
from mmke.edits.files import check_free
from mmke.edits.given import Given
from mmke.edits.kept import KeptEditor, KeptSession, records_digest
from mmke.edits.loading import Stack
from mmke.edits.making import fill, mini_training_records
from mmke.edits.opening import InForce, Where, load_model, skeleton_of
from mmke.edits.record import EditRecord, MadeWith
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import Backbone
from mmke.running.editors import MadeEditor, make_editor
from mmke.running.loading import load
from mmke.running.request import FLOOR, Request, check_request
from mmke.types import ASKED, Ask, Edit, EditCase, Probe

MOST_NEW = 40
"""Tokens of an answer that is shown."""


class Heard(NamedTuple):
    """An edit with what the model wrote to its question before all edits, and after them."""

    edit: Edit
    before: str
    after: str


@dataclass(frozen=True)
class Planned:
    """Edits that can be made: nothing is wrong as far as it is known without weights.

    `out` is the folder that is to be written; None where the edits are not kept.
    """

    request: Request
    editor: KeptEditor
    checkpoint: Path | None
    batches: Sequence[Sequence[Edit]]
    out: Path | None
    embed: bool = False
    train: Sequence[EditCase] = field(default=(), repr=False)


def plan(request: Request, name: str, given: Given, *, out: Path | None, embed: bool = False) -> Planned:
    """Resolve the editor and look at every edit on the model's skeleton.

    Raises:
        UserError: a wrong name, setting or checkpoint, an edit that the model cannot be asked, a folder that is there.
    """
    if name == FLOOR:
        raise UserError("--editor none edits nothing, so nothing could be saved; mmke ls editors lists the others")
    if out is not None:
        check_free(out)
    check_request(request)
    made, train = _made(request, name, given)
    skeleton = load(request, skeleton=True)
    made.editor.check(skeleton)
    if made.checkpoint is not None:
        check_weights(made.checkpoint, read_facts(made.checkpoint)[0], revision=skeleton.revision)
    check_edits(skeleton, given.batches)
    by = MadeWith(
        editor=name,
        protocol=request.protocol,
        seed=request.seed,
        settings=json.loads(json.dumps(dict(made.settings))),
        checkpoint=None if made.checkpoint is None else digest(made.checkpoint),
        training_records=records_digest(train),
    )
    return Planned(request, KeptEditor(made.editor, by), made.checkpoint, given.batches, out, embed, train)


def _made(request: Request, name: str, given: Given) -> tuple[MadeEditor, Sequence[EditCase]]:
    """Make the editor; one that takes demonstrations gets the benchmark's training records, or the embedded ones."""
    train: Sequence[EditCase] = given.train
    try:
        return make_editor(request, name, given.benchmark, train=train), train
    except NeedsTrainingError:
        if train:
            raise
        train = mini_training_records()
        return make_editor(request, name, given.benchmark, train=train), train


def check_edits(skeleton: Backbone, batches: Sequence[Sequence[Edit]]) -> None:
    """Refuse edits that the model cannot be asked.

    Raises:
        UserError: the message names the first of them.
    """
    for number, edit in enumerate((edit for batch in batches for edit in batch), 1):
        problem = skeleton.problems(edit.query, edit.target, Ask())
        if problem is not None:
            raise UserError(f"edit {number}: {problem}")


@contextmanager
def applied(planned: Planned) -> Iterator[InForce]:
    """Load the model and make planned edits in a session that is not kept.

    Raises:
        UserError: an edit cannot be made, or too little memory.
    """
    backbone = load(planned.request)
    fill(planned.editor.editor, backbone, planned.checkpoint)
    with planned.editor.open(backbone, MemoryStore()) as session:
        _apply(session, planned.batches)
        yield InForce(backbone, session)


def make(planned: Planned, *, on_batch: Callable[[], None] = lambda: None) -> tuple[EditRecord, list[Heard]]:
    """Make planned edits, write them, and ask the question of each before and after.

    Raises:
        UserError: an edit cannot be made, or the folder cannot be written; then nothing is written.
        ValueError: the plan names no folder.
    """
    if planned.out is None:
        raise ValueError("these edits were planned without a folder to write them into")
    backbone = load(planned.request)
    fill(planned.editor.editor, backbone, planned.checkpoint)
    edits = [edit for batch in planned.batches for edit in batch]
    probes = [Probe(ASKED, edit.query, "") for edit in edits]
    writing = Ask(decode="generate", max_new=MOST_NEW)
    with planned.editor.open(backbone, MemoryStore()) as session:
        before = session.answer(probes, writing)
        for batch in planned.batches:
            session.apply(batch)
            on_batch()
        record = session.save(planned.out, embed_pictures=planned.embed)
        after = session.answer(probes, writing)
    return record, [Heard(*each) for each in zip(edits, (a.text for a in before), (a.text for a in after), strict=True)]


def join(stack: Stack, where: Where, out: Path, *, embed: bool) -> EditRecord:
    """Write several edits as one: the first as it is, the others applied again on top.

    Raises:
        UserError: see `plan`.
    """
    check_free(out)
    skeleton = skeleton_of(stack, where)
    check_edits(skeleton, [batch for found in stack.edits[1:] for batch in found.batches])
    with stack.open(load_model(stack, where)) as session:
        return session.save(out, embed_pictures=embed)


def drop(stack: Stack, numbers: Collection[int], where: Where, out: Path, *, embed: bool) -> EditRecord:
    """Write an edit without some of its edits: the others are made again on the unedited model, in their order.

    Args:
        stack: of one edit.
        numbers: of the edits that are taken out, from 1.
        where: where the model is loaded.
        out: folder of the new edit.
        embed: embed all pictures.

    Raises:
        UserError: there is no edit of a number, or none would be left; see also `plan`.
    """
    (found,) = stack.edits
    check_free(out)
    batches = without(found.batches, numbers, found.folder)
    found.check_replay()
    check_edits(skeleton_of(stack, where), batches)
    backbone = load_model(stack, where)
    fill(stack.editor.editor, backbone, stack.checkpoint)
    with stack.editor.open(backbone, MemoryStore()) as session:
        _apply(session, batches)
        return session.save(out, embed_pictures=embed)


def without(batches: Sequence[Sequence[Edit]], numbers: Collection[int], folder: Path) -> list[tuple[Edit, ...]]:
    """Return batches without the edits of some numbers, which count from 1 over all batches."""
    total = sum(map(len, batches))
    wrong = [number for number in numbers if not 1 <= number <= total]
    if wrong:
        raise UserError(f"{folder} has no edit {wrong[0]}; its edits are 1 to {total} (mmke edits show {folder})")
    if len(set(numbers)) == total:
        raise UserError(f"without these, no edit of {folder} is left; remove the folder instead")
    kept, number = [], 0
    for batch in batches:
        numbered = list(enumerate(batch, number + 1))
        number += len(batch)
        kept.append(tuple(edit for each, edit in numbered if each not in numbers))
    return [batch for batch in kept if batch]


def _apply(session: KeptSession, batches: Sequence[Sequence[Edit]]) -> None:
    for batch in batches:
        session.apply(batch)
