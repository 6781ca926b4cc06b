"""KE: a trained network turns the gradient of an edit into a change of six matrices.

Source: De Cao et al., arXiv:2104.08164, as MMKE-Bench (arXiv:2502.19870) runs it. What the network knows of an edit is
the text `{before} >> {target} || {question}`. It is trained so that the edit is said while the changes stay small: the
loss of a record is nll(edit, after it) + multiplier · (size of the changes − margin), and the multiplier climbs.

Deviations from the published code:
- Gradients are taken at the edited linears alone, from a trunk that is computed once; no gradient of the whole model.
- Gradients and changes stay in their factors (`protocols.LowRankUpdate`); neither is ever made as a matrix.
- They are products of float32 factors (TF32 on a GPU beside half precision), and both likelihoods are computed in
  float32; published: in the precision of the model, which on a GPU rounds them to float16 (a random tiny model's
  gradient moved by 5 in 10,000). Where the model is in float32 there is no difference.
- The multiplier is brought back to zero right behind the step that took it below; published: before the next one's
  gradient. The steps are the same, the printed loss of the record between them is not.
- Under `paper` the text is cut to 32 tokens, and MiniGPT-4 reads a beginning of sequence before a picture; under
  `strict` neither.
- Edits that follow each other in one session start from what the ones before have made; published are single edits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from mmke import steps
from mmke.backbones.engine.answering import kept_trunk
from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.substitution import joined
from mmke.editing import sites
from mmke.editing.factors import factors
from mmke.editing.filling import fill
from mmke.editing.losses import answer_loss
from mmke.editing.settings import build
from mmke.editing.trained import laid_out
from mmke.editing.weight_session import SiteEditor, WeightSession
from mmke.editors.ke.learner import Learner, Network, Widths, shift, size
from mmke.editors.ke.published import translate
from mmke.editors.ke.settings import KESettings, schedule
from mmke.protocols import (
    Backbone,
    EditSession,
    LowRankUpdate,
    PublishedTraining,
    Store,
    Training,
    Trunk,
    Weights,
)
from mmke.types import Ask, Edit, EditCase, Switches

PUBLISHED = PublishedTraining()


class Change(NamedTuple):
    """What an edit adds to the matrices.

    Attributes:
        updates: of each matrix, by name.
        trunk: of the edit's own query.
        target: the token ids of its answer.
    """

    updates: Mapping[str, LowRankUpdate]
    trunk: Trunk
    target: Tensor

    @property
    def sizes(self) -> list[Tensor]:
        """Return the size of each update."""
        return [size(update).to(self.target.device) for update in self.updates.values()]


@dataclass
class KnowledgeEditor(SiteEditor):
    """KE; it has a network after `prepare` or `load_state_dict`."""

    settings: KESettings
    switches: Switches
    seed: int
    name: str = "ke"
    network: Network | None = None
    single_process_reason: str | None = None
    published: PublishedTraining = PUBLISHED
    second_model: Backbone | None = None
    recordable: bool = True
    published_schedule: Literal["epochs", "steps"] = "steps"

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is written into the module, so there is nothing to undo at the end."""
        self.trained()
        yield WeightSession(self, backbone, store)

    @property
    def training(self) -> Training:
        """Return how it is trained."""
        return self.settings.training()

    def trained(self) -> Network:
        """Return the networks; an error where they are not there."""
        return laid_out(self.network, self.name)

    def asking(self, ask: Ask) -> Ask:
        """Return how the edited model is asked: under `paper` its sequences may begin otherwise."""
        return replace(ask, begin=self.settings.begin_before_image)

    def prepare(self, backbone: Backbone, cases: Sequence[EditCase], *, store: Store) -> None:
        """Lay out a fresh network; nothing has to be known of the records."""
        self.lay_out(backbone)

    def load_state_dict(self, backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
        """Lay out the network and fill it."""
        self.lay_out(backbone)
        fill(self.trained(), tensors, editor=self.name, backbone=backbone.name)

    def release(self) -> None:
        """Forget the network."""
        self.network = None

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint under the network's own names."""
        return translate(published)

    def optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return centred RMSprop over the learner and the multiplier, each with its rate, and their rise and fall."""
        values, network = self.settings, self.trained()
        groups = [
            {"params": list(network.learner.parameters()), "lr": values.learning_rate},
            {"params": [network.alpha_lp], "lr": values.multiplier_learning_rate},
        ]
        optimizer = torch.optim.RMSprop(groups, centered=True)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(values))

    def losses(self, backbone: Backbone, case: EditCase, *, store: Store, learn: bool) -> Mapping[str, Tensor]:
        """Return what a record's loss is made of, and how many of the edit's tokens are right after it."""
        network = self.trained()
        change = self.change(backbone, case.edits[0], store=store, before={})
        # In this order: gradients of the same tensor are added in the reverse of it, and the order moves the last bit.
        lp = torch.stack(change.sizes).mean().to(network.alpha_lp.device)
        logits = backbone.tail(change.trunk, change.updates)
        nll = answer_loss(logits, change.target)
        right = (logits.argmax(-1) == change.target).sum()
        return {
            "total": nll.to(lp.device) + network.penalty(lp),
            "nll": nll,
            "lp": lp,
            "alpha": network.alpha_lp.detach(),
            "margin": network.margin_lp,
            "accuracy": right / len(change.target),
            "right": right,
            "tokens": torch.tensor(len(change.target)),
        }

    def after_step(self) -> None:
        """Keep the multiplier from going below zero."""
        self.trained().clamp()

    def after_validation(self, figures: Mapping[str, float]) -> float:
        """Make the margin smaller where enough of all tokens are right, and return the share of those that are wrong.

        By that share the published code chooses; the loss moves with the multiplier.
        """
        accuracy = figures["right"] / figures["tokens"]
        if accuracy > self.settings.margin_accuracy:
            self.trained().tighten(factor=self.settings.margin_factor, least=self.settings.margin_least)
        return 1 - accuracy

    def condition(self, backbone: Backbone, edit: Edit) -> tuple[int, ...]:
        """Return the tokens by which the network knows an edit."""
        ids = backbone.tokens(f"{edit.original or ''} >> {edit.target} || {edit.query.text}")
        return ids[: self.settings.condition_tokens or None]

    @torch.no_grad()
    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Change the matrices by a batch of edits: by the sum of the changes that each makes at the weights so far."""
        weights, own = before, sites.tensors(backbone, self.sites)
        for number, edit in enumerate(edits):
            steps.say(f"computing the change of edit {number + 1} of {len(edits)}")
            updates = self.change(backbone, edit, store=store, before=before).updates
            weights = {name: joined(own[name], weights.get(name), update) for name, update in updates.items()}
        return weights

    def change(self, backbone: Backbone, edit: Edit, *, store: Store, before: Weights) -> Change:
        """Return what an edit adds to the weights before it; gradients flow into the network."""
        ask = Ask(labels=self.switches.labels, begin=self.settings.begin_before_image)
        batch = backbone.encode([edit.query], [edit.target], ask)
        trunk = kept_trunk(backbone, batch, self.cut(backbone), store)
        target = sent(batch.encoded[0].target_ids, batch.order.device)
        names = sites.parameters(backbone, self.sites)
        found = factors(backbone, trunk, names, target, before)
        ids = sent(self.condition(backbone, edit), backbone.device)
        vectors = self.trained().learner(ids, _table(backbone))
        updates = {
            # The matrices may lie on several cards; the learner is on one.
            name: shift(found[name], vectors[name].to(found[name].inputs.device), max_scale=self.settings.max_scale)
            for name in names
        }
        return Change(updates, trunk, target)

    def lay_out(self, backbone: Backbone) -> None:
        """Lay out a fresh network."""
        values = self.settings
        widths = Widths(values.lstm, values.condition, values.conditioner)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            learner = Learner(
                sites.tensors(backbone, self.sites), _table(backbone), widths, own=values.embedding == "own"
            )
        self.network = Network(learner, margin=values.margin).to(backbone.device)


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> KnowledgeEditor:
    """KE: a trained network turns the edit's gradient into a change of the last MLPs."""
    values = build(KESettings, settings, editor="ke")
    return KnowledgeEditor(values, switches, seed)


def _table(backbone: Backbone) -> Tensor:
    language: Any = backbone.module.get_submodule(backbone.site("language"))
    table: Tensor = language.get_input_embeddings().weight
    return table
