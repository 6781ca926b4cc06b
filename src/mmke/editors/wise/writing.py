"""Write an edit into a side memory of WISE by gradient steps.

In: the edit's query and target below the matrix, what the matrix is fed for its question and for an irrelevant one, and
the change so far. Out: the change after the steps, in float32.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmke import steps
from mmke.editing.fitting import Lesson
from mmke.editors.wise.side import Margins, activation, margin_loss


@dataclass(frozen=True)
class Pace:
    """How steps are taken; see `WiseSettings`."""

    steps: int
    learning_rate: float
    weight_decay: float
    clip: float
    stop: float
    settled: float


@dataclass(frozen=True, eq=False)
class Writing:
    """An edit as far as no step changes it.

    Attributes:
        taught: its query and target.
        name: of the matrix.
        own: the model's own matrix, in float32.
        asked: what the matrix is fed at the positions of its question.
        irrelevant: the same of an irrelevant question.
        mask: which entries it may change.
        margins: of the activations of both questions.
    """

    taught: Lesson
    name: str
    own: Float[Tensor, "out into"]
    asked: Float[Tensor, "asked into"]
    irrelevant: Float[Tensor, "others into"]
    mask: Bool[Tensor, "out into"]
    margins: Margins


def written(edit: Writing, begin: Float[Tensor, "out into"], pace: Pace) -> Float[Tensor, "out into"]:
    """Return the change after gradient steps from `begin` on.

    A step never waits for the device, so that it can be recorded. Training that has ended therefore does not break off:
    the change stays as it is in the steps that are left.
    """
    change = begin.detach().float().clone().requires_grad_()
    optimizer = torch.optim.SGD([change], lr=pace.learning_rate)
    watching, last = steps.watching(), torch.zeros(())
    device = edit.taught.ids[0].device
    before = torch.full((), torch.inf, device=device)
    ended = torch.zeros((), dtype=torch.bool, device=device)

    def step() -> None:
        nonlocal last
        optimizer.zero_grad()
        said = edit.taught.loss({edit.name: edit.own + change})
        moved = margin_loss(activation(change, edit.asked), activation(change, edit.irrelevant), edit.margins)
        (said + moved.to(device)).backward()  # type: ignore[no-untyped-call]
        if pace.stop:
            ended.logical_or_((said.detach() <= pace.stop) & ((said.detach() - before).abs() <= pace.settled))
            before.copy_(said.detach())
        _take(optimizer, change, edit, pace, ended)
        if watching:  # a recorded step writes to this tensor each time it is replayed
            last = said.detach()

    steps.say("optimising")
    with torch.enable_grad(), steps.measured(lambda: float(last)):
        edit.taught.backbone.repeat(step, pace.steps)
    return change.detach()


@torch.no_grad()
def _take(optimizer: torch.optim.Optimizer, change: Tensor, edit: Writing, pace: Pace, ended: Tensor) -> None:
    """Move the masked entries, unless training has ended."""
    gradient, kept = change.grad, change.clone()
    assert gradient is not None  # noqa: S101  # the loss reads the change
    gradient.add_(edit.own + change, alpha=pace.weight_decay).mul_(edit.mask)
    optimizer.step()
    change.clamp_(-pace.clip, pace.clip)
    change.copy_(torch.where(ended.to(change.device), kept, change))
