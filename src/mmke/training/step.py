"""One step of the optimizer: loss and gradient of some records, gradient clipping, update of the editor's networks.

In: an editor, a backbone, the records of the step. Out: the parts of each record's loss; the networks are updated.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn, optim

from mmke.backbones.engine.taping import same
from mmke.protocols import Backbone, Store, TrainableEditor
from mmke.training.recording import Recorder
from mmke.types import EditCase

T = TypeVar("T")


class Optimization(NamedTuple):
    """What moves an editor's networks.

    Attributes:
        optimizer: of the networks.
        schedule: of its learning rate, if there is one.
        recorder: replays the passes of records that were seen before; None: they are computed anew.
    """

    optimizer: optim.Optimizer
    schedule: optim.lr_scheduler.LRScheduler | None
    recorder: Recorder | None = None


class NotFiniteError(Exception):
    """The loss of a record, or the gradient of a step, is NaN or infinite."""

    def __init__(self, record: str | None = None) -> None:
        """Keep the id of the record whose loss it is; None: it is the gradient."""
        super().__init__(record)
        self.record = record

    def what(self, cases: Sequence[EditCase]) -> str:
        """Say what is not finite, in a step on these records."""
        if self.record is not None:
            return f"the loss of record {self.record}"
        return f"the gradient of record {' and '.join(case.id for case in cases)}"


def take_step(
    editor: TrainableEditor,
    backbone: Backbone,
    cases: Iterable[EditCase],
    optimization: Optimization,
    *,
    store: Store,
    add_gradients: Callable[[Sequence[nn.Parameter]], None] = lambda _: None,
) -> list[dict[str, float]]:
    """Update an editor's networks with the gradient of some records, and return the parts of each record's loss.

    Args:
        editor: its networks are there already.
        backbone: unedited; it is never trained.
        cases: the records; each one's gradient is divided by `gradient_accumulation_steps`.
        optimization: the networks' optimizer, and what belongs to it.
        store: keeps what the backbone computes below the edited layers.
        add_gradients: adds the gradients of other processes to those of these parameters.

    Raises:
        NotFiniteError: a loss or a gradient is NaN or infinite; no parameter was changed.
    """
    training, (optimizer, schedule, recorder) = editor.training, optimization
    optimizer.zero_grad()
    parts: list[tuple[str, Mapping[str, Tensor]]] = []
    for case in cases:
        one = partial(_add_gradient, editor, backbone, case, store)
        parts.append((case.id, one() if recorder is None else recorder.take(id(case), one)))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    add_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, training.max_grad_norm)
    # Reading a loss waits for the GPU. So it is done once all gradients are queued, and before any parameter changes.
    floats = [(record, to_floats(losses)) for record, losses in parts]
    for record, losses_of_record in floats:
        if not math.isfinite(losses_of_record["total"]):
            raise NotFiniteError(record)
    if not torch.isfinite(norm):
        raise NotFiniteError
    optimizer.step()
    if schedule is not None:
        schedule.step()
    editor.after_step()
    return [losses_of_record for _, losses_of_record in floats]


def _add_gradient(editor: TrainableEditor, backbone: Backbone, case: EditCase, store: Store) -> Mapping[str, Tensor]:
    """Add the gradient of one record to that of the networks, and return the parts of its loss without their graph."""
    losses = editor.losses(backbone, case, store=Taped(store), learn=True)
    (losses["total"] / editor.training.gradient_accumulation_steps).backward()  # type: ignore[no-untyped-call]
    return {name: value.detach() for name, value in losses.items()}


class Taped:
    """A store whose things are kept on the tape, if there is one: a recording finds them where they were."""

    def __init__(self, store: Store) -> None:
        """Take the store."""
        self._store = store

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        return same(lambda: self._store.get(key, make))


def to_floats(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Return scalar tensors as floats; from a GPU they are copied together, in one transfer."""
    fetched = torch.stack([value.double().to(losses["total"].device) for value in losses.values()]).tolist()
    return dict(zip(losses, fetched, strict=True))
