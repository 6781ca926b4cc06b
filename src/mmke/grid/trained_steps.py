"""How many records a training of a grid still trains on, new ones and ones seen before.

In: a `TrainRequest`. Out: a `Steps`. Early stopping is not foreseen, so that these are the most there can be.
"""

from typing import NamedTuple

from mmke import registry
from mmke.benchmarks.open import open_benchmark
from mmke.editing import settings as editor_settings
from mmke.errors import UserError
from mmke.grid.measured import Measured
from mmke.grid.trainings import begun
from mmke.protocols import TrainableEditor
from mmke.training.progress import Progress
from mmke.training.train import TrainRequest
from mmke.types import PROTOCOLS


class Steps(NamedTuple):
    """What a training still does.

    Attributes:
        new: records that it meets for the first time.
        seen: records that it met before.
        validated: records in all validations together, at most.
    """

    new: int
    seen: int
    validated: int


def steps_of(request: TrainRequest, measured: Measured) -> Steps | None:
    """Return what is left of a training; None where its records are not known."""
    records = _records(request, measured)
    if not records:
        return None
    values = editor_settings.resolve(request.editor, request.backbone, request.changes, protocol=request.protocol)
    switches = editor_settings.resolve_switches(PROTOCOLS[request.protocol], request.editor)
    editor = registry.factory("editors", request.editor)(values, switches, train=(), seed=request.seed)
    if not isinstance(editor, TrainableEditor):
        return None
    published = editor.published_schedule if request.protocol == "paper" else None
    steps = Progress(records, editor.training, published, request.seed).steps
    done = begun(request)
    new = max(0, min(records, steps) - done)
    validations = (steps - done) // (editor.training.validate_every or records)
    return Steps(new, max(0, steps - done - new), validations * editor.training.validation_records)


def _records(request: TrainRequest, measured: Measured) -> int | None:
    try:
        opened = [open_benchmark(name, data=request.data) for name in request.benchmarks]
        switches = PROTOCOLS[request.protocol]
        return sum(len(each.load("train", hop=0, switches=switches).cases) for each in opened)
    except UserError:
        counts = [measured.published.get(name) for name in request.benchmarks]
        return None if None in counts else sum(each.train for each in counts if each is not None)
