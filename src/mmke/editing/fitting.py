"""Fit tensors to a batch of edits by gradient steps: by the mean negative log-likelihood of their targets' tokens.

In: edits, the tensors that are trained, and how edited tensors are made of them. Out: nothing; the tensors have moved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmke import steps
from mmke.backbones.engine.sending import sent
from mmke.editing import sites
from mmke.editing.weight_session import WeightEditor
from mmke.errors import CannotAskError
from mmke.protocols import Backbone, Cut, Store, Trunk, Weights
from mmke.types import Ask, Edit, Switches


@dataclass(frozen=True, eq=False)
class Lesson:
    """A batch of edits, as far as no training changes it.

    Attributes:
        backbone: what is edited.
        trunk: of the edits' queries and targets, below everything that is edited.
        ids: each target's tokens.
    """

    backbone: Backbone
    trunk: Trunk
    ids: Sequence[Tensor]

    def loss(self, weights: Weights) -> Tensor:
        """Return the mean over the edits of the mean negative log-likelihood of the target's tokens, in nats."""
        rows = torch.split(self.backbone.tail(self.trunk, weights).float(), [len(each) for each in self.ids])
        losses = [cross_entropy(each, target) for each, target in zip(rows, self.ids, strict=True)]
        return sum(losses[1:], losses[0]) / len(losses)


def lesson(backbone: Backbone, edits: Sequence[Edit], cut: Cut, *, switches: Switches, store: Store) -> Lesson:
    """Encode edits and compute what lies below `cut`."""
    queries, targets = [edit.query for edit in edits], [edit.target for edit in edits]
    batch = backbone.encode(queries, targets, Ask(labels=switches.labels))
    trunk = backbone.trunk(batch, cut, store=store)
    return Lesson(backbone, trunk, [sent(encoded.target_ids, batch.order.device) for encoded in batch.encoded])


def refuse_unreached(editor: WeightEditor, edits: Sequence[Edit]) -> None:
    """Refuse an edit that cannot change what its own question is answered.

    Raises:
        CannotAskError: an edit without a picture where only the alignment is edited.
    """
    unreached = [edit for edit in edits if not sites.reach(editor.sites, edit.query)]
    if unreached:
        raise CannotAskError(
            f"{editor.name} edits what reads the picture, and the edit {unreached[0].query.text!r} has none; give it "
            "one, or edit a decoder layer (ft-llm)"
        )


def adamw(tensors: Sequence[Tensor], *, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return a new AdamW (betas 0.9 and 0.999, eps 1e-8)."""
    # Fused: one pass over the tensors, a quarter of the time on the CPU. Capturable: can be recorded on a GPU.
    return torch.optim.AdamW(
        tensors, lr=learning_rate, weight_decay=weight_decay, fused=True, capturable=tensors[0].is_cuda
    )


def fit(
    taught: Lesson,
    leaves: Sequence[Tensor],
    weights: Callable[[], Weights],
    optimizer: torch.optim.Optimizer,
    *,
    times: int,
    stop: float = 0.0,
) -> None:
    """Take steps of an optimizer.

    A step never waits for the device, so that it can be recorded. Training that has reached `stop` therefore does not
    break off: the tensors stay as they are in the steps that are left.

    Args:
        taught: the edits.
        leaves: what is trained.
        weights: makes edited tensors of the leaves, with gradient.
        optimizer: over the leaves.
        times: steps.
        stop: the loss below which nothing moves any more, in nats; 0: all steps are taken.
    """
    watching, last = steps.watching(), torch.zeros(())
    reached = torch.zeros((), dtype=torch.bool, device=taught.ids[0].device)

    def step() -> None:
        nonlocal last
        optimizer.zero_grad()
        loss = taught.loss(weights())
        loss.backward()  # type: ignore[no-untyped-call]
        if stop:
            _step_unless(reached.logical_or_(loss.detach() < stop), leaves, optimizer)
        else:
            optimizer.step()
        if watching:  # a recorded step writes to this tensor each time it is replayed
            last = loss.detach()

    steps.say("optimising")
    with steps.measured(lambda: float(last)):
        taught.backbone.repeat(step, times)


@torch.no_grad()
def _step_unless(reached: Tensor, leaves: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
    before = [leaf.clone() for leaf in leaves]
    optimizer.step()
    for leaf, kept in zip(leaves, before, strict=True):
        leaf.copy_(torch.where(reached.to(leaf.device), kept, leaf))
