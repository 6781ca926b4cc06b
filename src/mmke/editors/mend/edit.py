"""MEND: a trained network turns the gradient of an edit into a change of six matrices.

Source: Mitchell et al., arXiv:2110.11309, as MMKE-Bench (arXiv:2502.19870) runs it. The factors of the gradient at the
MLPs of the last three layers are normalised and transformed; a matrix W moves to W + step · Σ rows δ̃ x̃ᵀ. The sign is
plus, and nothing is normalised back: training finds the direction.

Deviations from the published code:
- Gradients are taken at the edited linears alone, from a trunk that is computed once; no gradient of the whole model.
- The change of a matrix stays a low-rank update (`protocols.LowRankUpdate`), in float32; its products are TF32 on a GPU
  beside half precision. Published: added to the matrix, and rounded to the model's precision.
- The statistics are saved together with how many rows they are made of, so that training goes on where it was. Under
  `strict` they come from a first pass over the training records and then stand, and what did not vary in them is left
  out; under `paper` they run while training.
- The second optimizer of the published code, which never moves anything, is left out.

A later edit of a session starts from what the ones before have made: its gradient is taken at the edited weights, and
its change is added to them. By the setting `gradients_at` all gradients are taken at the unedited weights instead. A
batch moves the matrices by the gradient of the mean loss of its edits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from mmke import steps
from mmke.backbones.engine.answering import kept_trunk
from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.substitution import joined
from mmke.editing import sites
from mmke.editing.checked import FromOne, FromZero, NotNegative, Positive
from mmke.editing.factors import Factors, factors, share
from mmke.editing.filling import fill
from mmke.editing.objective import ask_training
from mmke.editing.observing_session import ObservingSession
from mmke.editing.settings import EditorSettings, build
from mmke.editing.trained import laid_out
from mmke.editing.weight_session import SiteEditor, WeightSession
from mmke.editors.mend.network import Networks, renewed
from mmke.editors.mend.published import translate
from mmke.protocols import Backbone, EditSession, PublishedTraining, Store, Training, Weights
from mmke.types import Ask, Edit, EditCase, Switches

PUBLISHED = PublishedTraining(whole_gradient=True, asks_all=True)


class MENDSettings(EditorSettings):
    """What `mend.toml` states.

    Attributes:
        sites: the edited matrices, by role, in the order of their modes.
        rank: of the network's layers.
        layers: of the network.
        statistics: of the rows that it is fed: from a first pass over the training records, or running from record to
            record while it is trained.
        gradients_at: at which weights the gradient of a later edit is taken.
        statistics_while_editing: whether they stand, or begin again with a session and run from edit to edit.
        step: what a pseudo-gradient is multiplied by before training.
        learning_rate: Adam's.
        edit_weight: of the paraphrase's loss.
        image_edit_weight: of the loss on another picture.
        locality_weight: of both divergences.
        steps: see `protocols.Training`, also for the rest.
        gradient_accumulation_steps: see `steps`.
        max_grad_norm: see `steps`.
        validate_every: see `steps`.
        validation_records: see `steps`.
        patience: see `steps`.
    """

    sites: sites.MatrixSites
    rank: FromOne
    layers: FromOne
    statistics: Literal["first pass", "running"]
    gradients_at: Literal["edited weights", "unedited weights"]
    statistics_while_editing: Literal["frozen", "running"]
    step: Positive
    learning_rate: Positive
    edit_weight: NotNegative
    image_edit_weight: NotNegative
    locality_weight: NotNegative
    steps: FromZero
    gradient_accumulation_steps: FromOne
    max_grad_norm: Positive
    validate_every: FromZero
    validation_records: FromOne
    patience: FromOne

    @model_validator(mode="after")
    def _statistics_run(self) -> "MENDSettings":
        if self.statistics_while_editing == "running" and self.statistics != "running":
            raise ValueError(
                "statistics_while_editing = 'running' needs statistics that run in training too (--protocol paper)"
            )
        return self


@dataclass
class Mend(SiteEditor):
    """MEND; it has networks after `prepare` or `load_state_dict`."""

    settings: MENDSettings
    switches: Switches
    seed: int
    name: str = "mend"
    network: Networks | None = None
    published: PublishedTraining = PUBLISHED
    second_model: Backbone | None = None
    recordable: bool = True
    published_schedule: Literal["epochs", "steps"] = "epochs"

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is written into the module, so there is nothing to undo at the end."""
        networks = self.networks()
        if self.settings.statistics_while_editing == "frozen":
            yield WeightSession(self, backbone, store)
        else:
            own = renewed(networks)
            session = WeightSession(replace(self, network=own), backbone, store)
            yield ObservingSession(session, own, "another statistics_while_editing")

    @property
    def training(self) -> Training:
        """Return how it is trained."""
        values = self.settings
        return Training(
            values.steps,
            values.gradient_accumulation_steps,
            values.max_grad_norm,
            values.validate_every,
            values.validation_records,
            values.patience,
        )

    @property
    def single_process_reason(self) -> str | None:
        """Return why a single process has to train it, under `paper`."""
        running = self.settings.statistics == "running"
        return "under paper its statistics run from record to record" if running else None

    def networks(self) -> Networks:
        """Return the networks; an error where they are not there."""
        return laid_out(self.network, self.name)

    def prepare(self, backbone: Backbone, cases: Sequence[EditCase], *, store: Store) -> None:
        """Lay out fresh networks; under `strict` their statistics are those of the training records."""
        self.lay_out(backbone)
        if self.settings.statistics == "first pass":
            for case in cases:
                self.networks().observe(self.factors(backbone, case.edits[0], store=store, weights={}))

    def load_state_dict(self, backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
        """Lay out the networks and fill them."""
        self.lay_out(backbone)
        fill(self.networks(), tensors, editor=self.name, backbone=backbone.name)

    def release(self) -> None:
        """Forget the networks."""
        self.network = None

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint under the networks' own names."""
        return translate(published)

    def optimizer(self) -> tuple[torch.optim.Optimizer, None]:
        """Return Adam over the networks and the steps."""
        parameters = list(self.networks().parameters())
        # Fused on a GPU: the other implementations need memory for copies of all networks.
        return torch.optim.Adam(parameters, lr=self.settings.learning_rate, fused=parameters[0].is_cuda), None

    def losses(self, backbone: Backbone, case: EditCase, *, store: Store, learn: bool) -> Mapping[str, Tensor]:
        """Return what a record's loss is made of: the edit on a paraphrase and another picture, and both localities."""
        found = self.factors(backbone, case.edits[0], store=store, weights={})
        observe = learn and self.settings.statistics == "running"
        weights = self.networks()(found, observe=observe)
        asked, cut, values = ask_training(backbone, case, self.switches), self.cut(backbone), self.settings
        in_scope, unrelated = (kept_trunk(backbone, batch, cut, store) for batch in asked)
        with torch.no_grad():
            before = backbone.tail(unrelated, {})
        parts = asked.parts(backbone.tail(in_scope, weights), before, backbone.tail(unrelated, weights))
        total = (
            values.edit_weight * parts.edit
            + values.image_edit_weight * parts.image_edit
            + values.locality_weight * (parts.text + parts.image)
        )
        return {"total": total, **parts._asdict()}

    def after_step(self) -> None:
        """Do nothing."""

    def after_validation(self, figures: Mapping[str, float]) -> float:
        """Return the loss, by which the published code chooses as well."""
        return figures["total"]

    def factors(self, backbone: Backbone, edit: Edit, *, store: Store, weights: Weights) -> Mapping[str, Factors]:
        """Return the factors of every edited matrix for an edit."""
        batch = backbone.encode([edit.query], [edit.target], Ask(labels=self.switches.labels))
        trunk = kept_trunk(backbone, batch, self.cut(backbone), store)
        target = sent(batch.encoded[0].target_ids, batch.order.device)
        return factors(backbone, trunk, sites.parameters(backbone, self.sites), target, weights)

    @torch.no_grad()
    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Move the matrices by a batch of edits: by the gradient of their mean loss."""
        weights, own, values = before, sites.tensors(backbone, self.sites), self.settings
        at = before if values.gradients_at == "edited weights" else {}
        # One edit after the other: all rows of a large batch together would take more memory than the matrices.
        for number, edit in enumerate(edits):
            steps.say(f"transforming the gradient of edit {number + 1} of {len(edits)}")
            found = share(self.factors(backbone, edit, store=store, weights=at), len(edits))
            moves = self.networks()(found, observe=values.statistics_while_editing == "running")
            weights = {name: joined(own[name], weights.get(name), move) for name, move in moves.items()}
        return weights

    def lay_out(self, backbone: Backbone) -> None:
        """Lay out fresh networks."""
        values = self.settings
        # Drawn on the processor, so that every device has the same; of a skeleton's there are only shapes.
        where = "meta" if backbone.device.type == "meta" else "cpu"
        with torch.random.fork_rng(devices=[]), torch.device(where):
            torch.manual_seed(self.seed)
            made = Networks(
                sites.tensors(backbone, self.sites),
                rank=values.rank,
                layers=values.layers,
                step=values.step,
                first_pass=self.settings.statistics == "first pass",
            )
        self.network = made.to(backbone.device)


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> Mend:
    """MEND: a trained network turns the edit's gradient into a change of the last MLPs."""
    values = build(MENDSettings, settings, editor="mend")
    return Mend(values, switches, seed)
