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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmke.backbones.engine.substitution import dense
from mmke.editing import fitting, sites
from mmke.editing.checked import FromZero, NotNegative
from mmke.editing.fitting import fit, lesson, refuse_unreached
from mmke.editing.settings import EditorSettings, build
from mmke.editing.weight_session import SiteEditor
from mmke.protocols import Backbone, Store, Weights
from mmke.types import Edit, EditCase, Switches


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
    return fitting.adamw(tensors, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)


@dataclass(frozen=True)
class FineTuning(SiteEditor):
    """FT-LLM or FT-Alignment, by its settings; `optimizer` makes the one of a batch of edits."""

    name: str
    settings: FTSettings
    switches: Switches
    optimizer: Callable[[Sequence[Tensor], FTSettings], torch.optim.Optimizer] = field(default=adamw)

    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Fine-tune on a batch of edits, from `before` on, with an optimizer of its own; the loss is their mean.

        Raises:
            CannotAskError: an edit without a picture where only the alignment is edited.
        """
        refuse_unreached(self, edits)
        taught = lesson(backbone, edits, self.cut(backbone), switches=self.switches, store=store)
        own = sites.tensors(backbone, self.sites)
        begun = {name: dense(tensor, before[name]) if before else tensor for name, tensor in own.items()}
        leaves = {name: tensor.detach().float().clone().requires_grad_() for name, tensor in begun.items()}
        trained = list(leaves.values())
        fit(taught, trained, lambda: leaves, self.optimizer(trained, self.settings), times=self.settings.steps)
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
