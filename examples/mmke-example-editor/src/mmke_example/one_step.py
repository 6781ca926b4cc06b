"""Edit by a single step along the gradient of the edits' loss, as long as the loss keeps falling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmke.backbones.engine.substitution import dense
from mmke.editing import sites
from mmke.editing.checked import EditorSettings, FromZero, Positive, build
from mmke.editing.weight_session import SiteEditor
from mmke.protocols import Backbone, Store, Trunk, Weights
from mmke.types import Ask, Edit, EditCase, Switches


class OneStepSettings(EditorSettings):
    """What `one-step.toml` states; it states every value, so there are no defaults here."""

    sites: sites.Sites
    first_length: Positive
    doublings: FromZero


@dataclass(frozen=True)
class OneStep(SiteEditor):
    """The editor: what is the same for all sessions. `WeightSession` asks, saves and lends what it has edited."""

    settings: OneStepSettings
    switches: Switches
    name: str = "one-step"

    @property
    def sites(self) -> tuple[str, ...]:
        """Return what is edited, by role: the first of the settings."""
        return self.settings.sites[:1]

    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Take one step for a batch of edits, from what earlier batches have made of the matrix."""
        (name,) = sites.parameters(backbone, self.sites)
        queries, targets = [edit.query for edit in edits], [edit.target for edit in edits]
        batch = backbone.encode(queries, targets, Ask(labels=self.switches.labels))
        # What lies below the edited matrix is computed once, however many steps are tried.
        trunk = backbone.trunk(batch, self.cut(backbone), store=store)
        own = backbone.module.get_parameter(name)
        begun = dense(own, before[name]) if before else own
        matrix = begun.detach().float().clone().requires_grad_()
        loss = _loss(backbone, trunk, name, matrix)
        (gradient,) = torch.autograd.grad(loss, matrix)

        def reached(tried: Tensor) -> float:
            return float(_loss(backbone, trunk, name, tried).detach())

        return {name: self._search(matrix.detach(), -gradient, float(loss.detach()), reached)}

    def _search(self, matrix: Tensor, direction: Tensor, loss: float, reached: Any) -> Tensor:
        """Double the step while the loss falls, and return the matrix behind the best one."""
        best = matrix
        direction = direction * (matrix.norm() / direction.norm().clamp_min(1e-30))
        for doubling in range(self.settings.doublings + 1):
            tried = matrix + self.settings.first_length * 2**doubling * direction
            found = reached(tried)
            if found >= loss:
                break
            best, loss = tried, found
        return best


def _loss(backbone: Backbone, trunk: Trunk, name: str, matrix: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of the edits' targets, in nats per token."""
    ids = [token for encoded in trunk.batch.encoded for token in encoded.target_ids]
    target = torch.tensor(ids, device=backbone.device)
    return cross_entropy(backbone.tail(trunk, {name: matrix}).float(), target)


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> OneStep:
    """One gradient step on the last MLP, as long as the loss falls."""
    return OneStep(build(OneStepSettings, settings, editor="one-step"), switches)
