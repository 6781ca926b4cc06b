"""Edit by a single step along the gradient of the edit's loss, as long as the loss keeps falling."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmke.backbones.engine.answering import answer, by_ask
from mmke.backbones.engine.substitution import written
from mmke.editing import sites
from mmke.editing.checked import EditorSettings, FromZero, Positive, build
from mmke.protocols import Backbone, Cut, EditSession, Store, Trunk
from mmke.types import Answer, Ask, Asks, Edit, EditCase, Probe, Switches


class OneStepSettings(EditorSettings):
    """What `one-step.toml` states; it states every value, so there are no defaults here."""

    sites: sites.Sites
    first_length: Positive
    doublings: FromZero


@dataclass
class OneStepSession:
    """The edited matrix by its name in the model; empty until something is applied."""

    editor: "OneStep"
    backbone: Backbone
    store: Store
    weights: dict[str, Tensor] = field(default_factory=dict)

    def apply(self, edits: Sequence[Edit]) -> None:
        """Take a step for each edit."""
        for edit in edits:
            self._step(edit)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer as the edited model does; nothing is written into the model for it."""
        return by_ask(self._answer, probes, ask)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the model with the edited matrix written into it, and take it out again."""
        return written(self.backbone.module, self.weights)

    def _answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        cut = self.editor.cut(self.backbone)
        return answer(self.backbone, probes, ask, store=self.store, cut=cut, weights=self.weights)

    def _step(self, edit: Edit) -> None:
        name = self.editor.parameter(self.backbone)
        batch = self.backbone.encode([edit.query], [edit.target], Ask(labels=self.editor.switches.labels))
        # What lies below the edited matrix is computed once, however many steps are tried.
        trunk = self.backbone.trunk(batch, self.editor.cut(self.backbone), store=self.store)
        matrix = self.weights.get(name, self.backbone.module.get_parameter(name)).detach().float()
        matrix = matrix.clone().requires_grad_()
        loss = self._loss(trunk, name, matrix)
        (gradient,) = torch.autograd.grad(loss, matrix)
        self.weights[name] = self._search(trunk, name, matrix.detach(), -gradient, float(loss.detach()))

    @torch.no_grad()
    def _search(self, trunk: Trunk, name: str, matrix: Tensor, direction: Tensor, loss: float) -> Tensor:
        """Double the step while the loss falls, and return the matrix behind the best one."""
        settings, best = self.editor.settings, matrix
        direction = direction * (matrix.norm() / direction.norm().clamp_min(1e-30))
        for doubling in range(settings.doublings + 1):
            tried = matrix + settings.first_length * 2**doubling * direction
            reached = float(self._loss(trunk, name, tried))
            if reached >= loss:
                break
            best, loss = tried, reached
        return best

    def _loss(self, trunk: Trunk, name: str, matrix: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of the edit's target, in nats per token."""
        target = torch.tensor(trunk.batch.encoded[0].target_ids, device=self.backbone.device)
        return cross_entropy(self.backbone.tail(trunk, {name: matrix}).float(), target)


@dataclass(frozen=True)
class OneStep:
    """The editor: what is the same for all sessions."""

    settings: OneStepSettings
    switches: Switches
    name: str = "one-step"

    def cut(self, backbone: Backbone) -> Cut:
        """Return the place below which the edit changes nothing."""
        return sites.cut_below(backbone, self.settings.sites)

    def parameter(self, backbone: Backbone) -> str:
        """Return the name of the edited matrix in the backbone's module."""
        return sites.parameters(backbone, self.settings.sites)[0]

    def check(self, backbone: Backbone) -> None:
        """Refuse a backbone without the site, before anything is computed."""
        backbone.module.get_parameter(self.parameter(backbone))

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is ever written into the model, so there is nothing to undo on leaving."""
        yield OneStepSession(self, backbone, store)


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> OneStep:
    """One gradient step on the last MLP, as long as the loss falls."""
    return OneStep(build(OneStepSettings, settings, editor="one-step"), switches)
