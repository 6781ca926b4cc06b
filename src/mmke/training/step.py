"""One step of training: losses and gradients of some records, clipping, and the networks moved."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn, optim

from mmke.protocols import Backbone, Store, TrainableEditor
from mmke.types import EditCase


class NotFiniteError(Exception):
    """The loss of a record, which is named, or the gradient of all of them is no finite number."""

    def __init__(self, record: str | None = None) -> None:
        """Take the record's id; None: it is the gradient."""
        super().__init__(record)
        self.record = record

    def what(self, cases: Sequence[EditCase]) -> str:
        """Say what it is of a step on some records."""
        if self.record is not None:
            return f"the loss of record {self.record}"
        return f"the gradient of record {' and '.join(case.id for case in cases)}"


def take_step(
    editor: TrainableEditor,
    backbone: Backbone,
    cases: Iterable[EditCase],
    moved_by: tuple[optim.Optimizer, optim.lr_scheduler.LRScheduler | None],
    *,
    store: Store,
    add_gradients: Callable[[Sequence[nn.Parameter]], None] = lambda _: None,
) -> list[dict[str, float]]:
    """Move an editor's networks by some records, and return the parts of each record's loss.

    Args:
        editor: with its networks.
        backbone: never trained.
        cases: the records, of which each counts as one of as many as are accumulated.
        moved_by: the networks' optimizer, and the schedule of its rates; None: they stand.
        store: keeps trunks.
        add_gradients: adds to the parameters' gradients those of other processes.

    Raises:
        NotFiniteError: a loss or a gradient is no finite number; no parameter was moved.
    """
    training, (optimizer, schedule) = editor.training, moved_by
    optimizer.zero_grad()
    told: list[tuple[str, Mapping[str, Tensor]]] = []
    for case in cases:
        losses = editor.losses(backbone, case, store=store, learn=True)
        (losses["total"] / training.gradient_accumulation_steps).backward()  # type: ignore[no-untyped-call]
        told.append((case.id, {name: value.detach() for name, value in losses.items()}))  # the graph may go
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    add_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, training.max_grad_norm)
    # A card is waited for when it has been asked for everything: the losses are looked at behind their gradients, and
    # before anything moves.
    parts = [(record, numbers(losses)) for record, losses in told]
    for record, figures in parts:
        if not math.isfinite(figures["total"]):
            raise NotFiniteError(record)
    if not torch.isfinite(norm):
        raise NotFiniteError
    optimizer.step()
    if schedule is not None:
        schedule.step()
    editor.after_step()
    return [figures for _, figures in parts]


def numbers(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Return values that may lie on a card, fetched in one piece."""
    fetched = torch.stack([value.double().to(losses["total"].device) for value in losses.values()]).tolist()
    return dict(zip(losses, fetched, strict=True))
