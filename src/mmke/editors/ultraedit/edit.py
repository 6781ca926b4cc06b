"""UltraEdit: a change of some matrices in closed form, without training.

In: a batch of edits. Out: of each edited matrix a change. Source: Gu et al., arXiv:2505.14679. At the positions that
predict the target's tokens, each edited linear's input h and the gradient g of the loss with respect to its output are
taken, all at the weights before the batch. The normaliser, which runs over the whole session, takes the rows (h, g) in
and standardises them to ĥ and ĝ. With the rows h as H and v = −step · ‖ĥ‖² ĝ as V, the matrix moves by the ridge
solution of H X = V: X = Hᵀ (H Hᵀ + I)⁻¹ V.

Deviations from the published code:
- The loss is the mean negative log-likelihood of each edit by itself, so that an edit's rows do not depend on how
  many others are in its batch.
- A coordinate is divided by no less than a thousandth of the mean deviation of the inputs, or of the gradients.
- The change stays in factors as long as these are smaller than the matrix; the model's own matrices are not written to.

Published are text models; the matrices of a multimodal model are chosen by analogy.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmke import steps
from mmke.backbones.engine.answering import kept_trunk
from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.substitution import joined
from mmke.editing import sites
from mmke.editing.checked import Positive
from mmke.editing.factors import Factors, at_rows, factors
from mmke.editing.observing_session import ObservingSession
from mmke.editing.settings import EditorSettings, build
from mmke.editing.weight_session import SiteEditor, WeightSession
from mmke.editors.ultraedit.normaliser import Normalisers
from mmke.protocols import Backbone, EditSession, LowRankUpdate, Store, Weights
from mmke.types import Ask, Edit, EditCase, Switches


class UltraEditSettings(EditorSettings):
    """What `ultraedit.toml` states.

    Attributes:
        sites: the edited matrices, by role; see `sites.SITE`.
        step: what the standardised gradient is multiplied by.
    """

    sites: sites.MatrixSites
    step: Positive


@dataclass(frozen=True)
class UltraEdit(SiteEditor):
    """UltraEdit by its settings; `normalisers` belong to a session."""

    settings: UltraEditSettings
    switches: Switches
    name: str = "ultraedit"
    normalisers: Normalisers | None = None

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session with statistics of no row; nothing is written into the module, so nothing is to be undone."""
        own = Normalisers(sites.tensors(backbone, self.sites)).to(backbone.device)
        session = WeightSession(replace(self, normalisers=own), backbone, store)
        yield ObservingSession(session, own, "other sites")

    @torch.no_grad()
    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Move the matrices by a batch of edits.

        Raises:
            CannotAskError: the session's first edit has a target of one token.
        """
        normalisers = self.normalisers
        assert normalisers is not None  # noqa: S101  # `open` makes them
        own, rows = sites.tensors(backbone, self.sites), []
        for number, edit in enumerate(edits):
            steps.say(f"taking the gradient of edit {number + 1} of {len(edits)}")
            rows.append(self._rows(backbone, edit, store=store, weights=before))
        found = {name: _stacked([each[name] for each in rows]) for name in own}
        # The matrices may lie on several cards; the statistics are on one.
        together = {name: each.to(backbone.device) for name, each in found.items()}
        normalisers.observe(together)
        standardised = {name: each.to(own[name].device) for name, each in normalisers(together).items()}
        moves = {name: move(found[name].inputs, values(standardised[name], self.settings.step)) for name in own}
        return {name: joined(own[name], before.get(name), each) for name, each in moves.items()}

    def _rows(self, backbone: Backbone, edit: Edit, *, store: Store, weights: Weights) -> dict[str, Factors]:
        """Return of every matrix the inputs and gradients at the positions that predict the target."""
        batch = backbone.encode([edit.query], [edit.target], Ask(labels=self.switches.labels))
        trunk = kept_trunk(backbone, batch, self.cut(backbone), store)
        encoded = batch.encoded[0]
        target = sent(encoded.target_ids, batch.order.device)
        found = factors(backbone, trunk, sites.parameters(backbone, self.sites), target, weights)
        return {
            name: Factors(at_rows(each.inputs, encoded), at_rows(each.gradients, encoded))
            for name, each in found.items()
        }


def values(rows: Factors, step: float) -> Float[Tensor, "rows out"]:
    """Return what each position's output should move by, of its standardised input and gradient."""
    return -step * rows.inputs.square().sum(1, keepdim=True) * rows.gradients


def move(inputs: Float[Tensor, "rows into"], wanted: Float[Tensor, "rows out"]) -> LowRankUpdate:
    """Return the change of a matrix by which its outputs for `inputs` move by `wanted`, regularised by the identity.

    Solved in double precision and in the smaller of both forms, which are equal.
    """
    rows, into = inputs.shape
    exact = inputs.double()
    if rows < into:
        ridge = exact @ exact.T + torch.eye(rows, dtype=exact.dtype, device=exact.device)
        return LowRankUpdate(torch.linalg.solve(ridge, exact).float(), wanted)
    ridge = exact.T @ exact + torch.eye(into, dtype=exact.dtype, device=exact.device)
    solved = torch.linalg.solve(ridge, exact.T @ wanted.double()).float()
    return LowRankUpdate(torch.eye(into, device=inputs.device), solved)


def _stacked(some: Sequence[Factors]) -> Factors:
    return Factors(torch.cat([each.inputs for each in some]), torch.cat([each.gradients for each in some]))


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> UltraEdit:
    """UltraEdit: a change of two late MLPs in closed form, without training."""
    return UltraEdit(build(UltraEditSettings, settings, editor="ultraedit"), switches)
