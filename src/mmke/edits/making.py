"""Make the editor that an edit was made with: with the settings, the networks and the demonstrations of then.

In: what the record says. Out: the editor, which this version may not know any more; then it is a `UserError`.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.editing.checked import Values
from mmke.editing.settings import resolve_switches
from mmke.editing.trained import BEST, check_weights, digest, find, home, network_tensors, read, read_facts
from mmke.edits.kept import KeptEditor, records_digest
from mmke.edits.record import RECORD, EditRecord, MadeWith
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import Backbone, Editor, TrainableEditor
from mmke.running.request import resolve_protocol
from mmke.types import STRICT, EditCase

MINI = ("mini-entity", "mini-visual", "mini-user")

LONGEST = 500
"""Letters of an error that repeats what a file says."""

log = logging.getLogger(__name__)


def mini_training_records() -> list[EditCase]:
    """Return the embedded training records, for editors that take texts or questions from some (IKE, WISE)."""
    return [
        case for name in MINI for case in open_benchmark(name, data=None).load("train", hop=0, switches=STRICT).cases
    ]


def make_again(
    folder: Path, record: EditRecord, *, backbone: str, checkpoint: Path | None, train: Sequence[EditCase] | None
) -> tuple[KeptEditor, Path | None]:
    """Return the editor of an edit, without its networks, and the checkpoint that they are filled from.

    Args:
        folder: of the edit, for messages.
        record: what it says.
        backbone: name of the model, among whose checkpoints the one of then is looked for.
        checkpoint: where the user says that it is.
        train: training records; None: the embedded ones.

    Raises:
        UserError: this version knows no such editor or settings, or the checkpoint of then is not there.
    """
    by = record.by
    try:
        registry.import_string("editors", by.editor)
        switches = resolve_switches(resolve_protocol(by.protocol), by.editor)
        values = Values(by.settings, dict.fromkeys(by.settings, str(folder / RECORD)))
        editor = _with_records(by, values, switches, train)
    except UserError as error:
        told = " ".join(str(error).split())[:LONGEST]
        instead = "make the edit again, or use the version that made it"
        raise UserError(f"{folder} cannot be loaded by this version of mmke: {told}; {instead}") from error
    if not isinstance(editor, TrainableEditor):
        if checkpoint is not None:
            raise UserError(f"{by.editor} is not trained, so that it takes no checkpoint")
        return KeptEditor(editor, by), None
    return KeptEditor(editor, by), _checkpoint(folder, by, backbone, checkpoint)


def fill(editor: Editor, backbone: Backbone, checkpoint: Path | None) -> None:
    """Fill a trained editor's networks from its checkpoint.

    Raises:
        UserError: it was trained on other weights, or is broken.
    """
    if checkpoint is not None and isinstance(editor, TrainableEditor):
        check_weights(checkpoint, read_facts(checkpoint)[0], revision=backbone.revision)
        editor.load_state_dict(backbone, network_tensors(read(checkpoint).tensors))


def _with_records(by: MadeWith, values: Values, switches: object, train: Sequence[EditCase] | None) -> Editor:
    """Make the editor; only one that asks for training records gets the embedded ones."""
    make = registry.factory("editors", by.editor)
    try:
        made: Editor = make(values, switches, train=list(train or ()), seed=by.seed)
    except NeedsTrainingError:
        train = mini_training_records()
        made = make(values, switches, train=train, seed=by.seed)
    if train and records_digest(train) != by.training_records:
        log.warning(
            "%s was given other training records when this edit was made; what is edited here on top takes what "
            "it needs of them from others",
            by.editor,
        )
    return made


def _checkpoint(folder: Path, by: MadeWith, backbone: str, named: Path | None) -> Path:
    places = (
        [named]
        if named is not None
        else [
            *find(by.editor, backbone, None),
            *sorted(home(backbone).glob(f"*/{by.editor}/{BEST}")),
        ]
    )
    fitting = next((place for place in places if digest(place) == by.checkpoint), None)
    if fitting is None:
        looked = ", ".join(map(str, places)) or "none is here"
        raise UserError(
            f"{folder} was made with networks of {by.editor} whose digest begins with "
            f"{(by.checkpoint or 'none')[:16]}, and these are others ({looked}); name the file with --checkpoint PATH"
        )
    return fitting
