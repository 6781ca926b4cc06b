"""Fine-tuning on the edit alone: FT-LLM (the last layer's MLP) and FT-Alignment (the projector or Q-Former).

In: a batch of edits. Out: edited copies of the tensors at the sites. Source: MMKE-Bench, arXiv:2502.19870. Each batch
starts a fresh AdamW (betas 0.9/0.999, eps 1e-8) and takes exactly `steps` steps on the mean negative log-likelihood of
the target's tokens, teacher-forced; no learning-rate schedule, no gradient clipping, no early stopping. A later batch
continues from the edited weights.

Deviations from the published code:
- Only what lies above the edited modules is computed in the steps; the edited tensors are fp32 copies, so that nothing
  is ever written into the model and leaving needs no restoring.
- Weight decay is 0.01 under `paper` only (AdamW's default, which the published code left in).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmke import steps
from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.substitution import dense
from mmke.editing import sites
from mmke.editing.checked import FromZero, NotNegative
from mmke.editing.settings import EditorSettings, build
from mmke.editing.weight_session import WeightSession
from mmke.errors import CannotAskError
from mmke.protocols import Backbone, Cut, EditSession, Store, Weights
from mmke.types import Ask, Edit, EditCase, Switches


class FTSettings(EditorSettings):
    """What `ft-llm.toml` and `ft-alignment.toml` state.

    Attributes:
        sites: what is edited, by role; see `sites.SITE`.
        steps: optimizer steps per edit.
        learning_rate: AdamW's learning rate.
        weight_decay: AdamW's weight decay.
    """

    sites: sites.Sites
    steps: FromZero
    learning_rate: NotNegative
    weight_decay: NotNegative


def adamw(tensors: Sequence[Tensor], settings: FTSettings) -> torch.optim.Optimizer:
    """Return a new AdamW over the edited tensors."""
    # Fused: one pass over the tensors, a quarter of the time on the CPU. Capturable: can be recorded on a GPU.
    return torch.optim.AdamW(
        tensors,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
        capturable=tensors[0].is_cuda,
    )


@dataclass(frozen=True)
class FineTuning:
    """FT-LLM or FT-Alignment, by its settings; `optimizer` makes the one of a batch of edits."""

    name: str
    settings: FTSettings
    switches: Switches
    optimizer: Callable[[Sequence[Tensor], FTSettings], torch.optim.Optimizer] = field(default=adamw)

    @property
    def sites(self) -> tuple[str, ...]:
        """Return what is edited, by role."""
        return self.settings.sites

    def cut(self, backbone: Backbone) -> Cut:
        """Return the highest cut below everything that is edited."""
        return sites.cut_below(backbone, self.sites)

    def check(self, backbone: Backbone) -> None:
        """Resolve every edited parameter."""
        sites.tensors(backbone, self.sites)

    def asking(self, ask: Ask) -> Ask:
        """Return how the model is asked: as the metric wants it."""
        return ask

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is written into the module, so there is nothing to undo at the end."""
        yield WeightSession(self, backbone, store)

    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Fine-tune on a batch of edits, from `before` on, with an optimizer of its own; the loss is their mean.

        Raises:
            CannotAskError: an edit without a picture where only the alignment is edited.
        """
        unreached = [edit for edit in edits if not sites.reach(self.sites, edit.query)]
        if unreached:
            raise CannotAskError(
                f"{self.name} edits what reads the picture, and the edit {unreached[0].query.text!r} has none; give it "
                "one, or edit a decoder layer (ft-llm)"
            )
        queries, targets = [edit.query for edit in edits], [edit.target for edit in edits]
        batch = backbone.encode(queries, targets, Ask(labels=self.switches.labels))
        trunk = backbone.trunk(batch, self.cut(backbone), store=store)
        ids = [sent(encoded.target_ids, backbone.device) for encoded in batch.encoded]
        sizes = [len(each) for each in ids]
        own = sites.tensors(backbone, self.sites)
        begun = {name: dense(tensor, before[name]) if before else tensor for name, tensor in own.items()}
        leaves = {name: tensor.detach().float().clone().requires_grad_() for name, tensor in begun.items()}
        optimizer = self.optimizer(list(leaves.values()), self.settings)
        watching, last = steps.watching(), torch.zeros(())

        def step() -> None:
            nonlocal last
            optimizer.zero_grad()
            logits = torch.split(backbone.tail(trunk, leaves).float(), sizes)
            losses = [cross_entropy(rows, target) for rows, target in zip(logits, ids, strict=True)]
            loss = sum(losses[1:], losses[0]) / len(losses)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if watching:  # a recorded step writes to this tensor each time it is replayed
                last = loss.detach()

        steps.say("optimising")
        with steps.measured(lambda: float(last)):
            backbone.repeat(step, self.settings.steps)
        return {name: tensor.detach() for name, tensor in leaves.items()}


def make_llm(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> FineTuning:
    """FT-LLM: fine-tune the MLP of the last decoder layer on the edit."""
    return _make("ft-llm", settings, switches)


def make_alignment(
    settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int
) -> FineTuning:
    """FT-Alignment: fine-tune the projector or Q-Former on the edit."""
    return _make("ft-alignment", settings, switches)


def _make(name: str, settings: Mapping[str, Any], switches: Switches) -> FineTuning:
    values = build(FTSettings, settings, editor=name)
    return FineTuning(name, values, switches)
