"""SERAC: edits are remembered; a classifier tells which probes they concern, and another model answers those.

Source: Mitchell et al., arXiv:2206.06520, as MMKE-Bench (arXiv:2502.19870) runs it. No weight changes when an edit is
made. Under `paper` every answer is a mixture of the base's and the counterfactual model's, by how near the probe with
its gold answer is to the nearest edit; under `strict` a probe's question alone decides which of the two answers.

Deviations from the published code:
- Several edits may be remembered; the nearest one decides, and of equally near ones the newest. Under `paper` the
  mixture uses its similarity.
- Free decoding is not published: under either protocol the question alone decides, and one model writes the answer.
- BLIP2's random projection, under `paper`, is drawn from the seed and the newest edit, so that a run repeats itself.
- Under `strict` the counterfactual model is the backbone's own language model with trained copies of its last layers,
  and the scope classifier is trained to decide (see `training`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmke import steps
from mmke.backbones.engine.answering import by_ask, read_off, wanted_logits
from mmke.backbones.engine.taping import same
from mmke.editing.filling import fill
from mmke.editing.routed_session import Chosen, RoutedSession, noted
from mmke.editing.settings import build
from mmke.editing.trained import laid_out
from mmke.editors.serac import replacement
from mmke.editors.serac.counterfactual import Counterfactual
from mmke.editors.serac.gate import Gate
from mmke.editors.serac.mixture import aligned, soft
from mmke.editors.serac.networks import Networks, fresh, originals
from mmke.editors.serac.projection import PROJECTION, draw
from mmke.editors.serac.remembered import EditKeys
from mmke.editors.serac.scope import Keys, Nearness, QuestionKeys, Shown
from mmke.editors.serac.settings import CounterfactualSettings, SERACSettings
from mmke.editors.serac.text_gate import TextGate
from mmke.editors.serac.training import losses, unrelated
from mmke.protocols import Backbone, Cut, EditSession, PublishedTraining, Route, SessionState, Store, Training, Weights
from mmke.types import (
    Answer,
    Ask,
    Asks,
    Edit,
    EditCase,
    Probe,
    Query,
    Switches,
)

PUBLISHED = PublishedTraining(asks_all=True)


class Memory(NamedTuple):
    """What SERAC makes of the edits in force.

    Attributes:
        keys: what queries are compared with.
        weights: the counterfactual model's trained tensors, with the projection of the newest edit if it is drawn.
    """

    keys: EditKeys
    weights: Weights


@dataclass
class MixingSession:
    """SERAC as published: an answer under teacher forcing is a mixture, and what is written freely is decided.

    How near an edit is depends on the probe with its gold answer, so that this is no decision about a query.
    """

    editor: "Serac"
    routed: RoutedSession[Memory]

    def apply(self, edits: Sequence[Edit]) -> None:
        """Remember a batch of edits."""
        self.routed.apply(edits)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe: as the unedited model does, or as the mixture of both."""
        return by_ask(self._answer, probes, ask)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Refuse: there is no edited module."""
        return self.routed.module()

    def state(self) -> SessionState:
        """Return the edits."""
        return self.routed.state()

    def load_state(self, state: SessionState) -> None:
        """Remember the edits of another session in place of one's own."""
        self.routed.load_state(state)

    @torch.no_grad()
    def _answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        backbone, edits, store, memory = self.routed.backbone, self.routed.edits, self.routed.store, self.routed.memory
        if memory is None or not probes or ask.decode == "generate":
            return self.routed.answer(probes, ask)
        texts = [self.editor.keys.of_probe(probe.query.text, probe.target) for probe in probes]
        near = self.editor.near(backbone, texts, [probe.query for probe in probes], memory.keys, store=store)
        asks = [ask] * len(probes)
        base = wanted_logits(backbone, probes, asks, store=store)
        other = self.editor.counterfactual(backbone).logits(
            probes, [edits[i] for i in near.edits], asks, store=store, weights=memory.weights
        )
        pieces = zip(base.logits, other.logits, near.log_similarity.exp(), strict=True)
        said = read_off(backbone, base.encoded, [soft(old, new, s) for old, new, s in pieces], asks)
        return [noted(each, route) for each, route in zip(said, near.routes(), strict=True)]


@dataclass
class Serac:
    """SERAC, or another editor that decides with a scope classifier whether a counterfactual model answers.

    It has networks after `prepare` or `load_state_dict`.

    Attributes:
        settings: of the counterfactual model and of training.
        unrelated: unrelated questions of the training records.
        gate: makes the scope classifier.
        soft: whether answers are mixtures of both models.
        network: what is trained.
        second_model: the counterfactual language model, where it is not the backbone's own.
        keys: which texts the scope classifier compares; known with its encoder.
    """

    settings: CounterfactualSettings
    switches: Switches
    unrelated: Sequence[Query]
    seed: int
    gate: Gate
    soft: bool = False
    name: str = "serac"
    network: Networks | None = None
    second_model: Backbone | None = None
    keys: Keys = field(default_factory=QuestionKeys)
    single_process_reason: str | None = None
    recordable: bool = True
    published: PublishedTraining = PUBLISHED
    published_schedule: Literal["epochs", "steps"] = "epochs"

    @property
    def training(self) -> Training:
        """Return how it is trained."""
        return self.settings.training()

    def networks(self) -> Networks:
        """Return the networks; an error where they are not there."""
        return laid_out(self.network, self.name)

    def counterfactual(self, backbone: Backbone) -> Counterfactual:
        """Return the counterfactual model."""
        return Counterfactual(self.second_model or backbone, self.settings.layers)

    def nearest(
        self, backbone: Backbone, texts: Sequence[str], queries: Sequence[Query], edits: Sequence[Edit], *, store: Store
    ) -> Nearness:
        """Return the nearest edit of each query, whose text is given as the keys have it; with gradient, for training.

        A session makes the edits' keys once, when they are applied: see `near`.
        """
        scope, keys = self.networks().scope, [self.keys.of_edit(edit) for edit in edits]
        pictures = (scope.pictures(backbone, some, store) for some in (queries, [edit.query for edit in edits]))
        return scope.nearest(texts, keys, store, Shown(*pictures))

    def near(
        self, backbone: Backbone, texts: Sequence[str], queries: Sequence[Query], keys: EditKeys, *, store: Store
    ) -> Nearness:
        """Return the nearest of the remembered edits of each query, whose text is given as the keys have it."""
        scope = self.networks().scope
        return scope.near(texts, scope.pictures(backbone, queries, store), keys, store)

    def weights(self, model: Counterfactual, edit: Edit) -> dict[str, Tensor]:
        """Return the counterfactual model's trained tensors, and the projection drawn for an edit, by name."""
        trained = self.networks().counterfactual(model.reader.module)
        named = {name: trained[first] for name, first in model.names().items() if first in trained}
        if not model.projects:
            return named
        if self.settings.projection == "random":
            return named | same(lambda: draw(model.reader, f"{self.seed} {edit.query.text} {edit.target}"))
        return named | {name: tensor for name, tensor in trained.items() if name.startswith(PROJECTION)}

    def check(self, backbone: Backbone) -> None:
        """Resolve the trained layers, and look for the models that are read beside the backbone.

        Raises:
            UserError: there are fewer layers, or such a model is not there.
        """
        self.gate.check()
        replacement.find(self.settings.counterfactual, self.name)
        backbone.site("language", -max(self.settings.layers, 1))

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is written into the module, so there is nothing to undo at the end."""
        self.networks()
        session = RoutedSession(self, backbone, store)
        yield MixingSession(self, session) if self.soft else session

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return None: the base is asked whole, and the counterfactual model may be another one."""
        del backbone
        return None

    def remember(self, backbone: Backbone, edits: Sequence[Edit], before: Memory | None, *, store: Store) -> Memory:
        """Return the keys of all edits; those of one more batch are made and put behind the others."""
        steps.say("remembering the edit")
        scope = self.networks().scope
        pictures = scope.pictures(backbone, [edit.query for edit in edits], store)
        keys = scope.keys([self.keys.of_edit(edit) for edit in edits], pictures, store)
        if before is None:
            return Memory(keys, self.weights(self.counterfactual(backbone), edits[-1]))
        # What is trained is the same for every edit: only a projection that is drawn for each is made anew.
        model = self.counterfactual(backbone)
        drawn = model.projects and self.settings.projection == "random"
        return Memory(before.keys.joined(keys), self.weights(model, edits[-1]) if drawn else before.weights)

    def saved(self, memory: Memory) -> Mapping[str, Tensor]:
        """Return the keys."""
        return memory.keys._asdict()

    def restored(self, backbone: Backbone, edits: Sequence[Edit], tensors: Mapping[str, Tensor]) -> Memory:
        """Take over keys, so that no text and no picture is read again."""
        keys = EditKeys.restored(tensors, edits=len(edits), device=backbone.device)
        return Memory(keys, self.weights(self.counterfactual(backbone), edits[-1]))

    def decide(
        self, backbone: Backbone, queries: Sequence[Query], edits: Sequence[Edit], memory: Memory, *, store: Store
    ) -> list[Route]:
        """Return the nearest edit of each query where it is near enough."""
        texts = [self.keys.of_probe(query.text, "") for query in queries]
        return self.near(backbone, texts, queries, memory.keys, store=store).routes()

    def speak(
        self,
        backbone: Backbone,
        probes: Sequence[Probe],
        chosen: Sequence[Chosen],
        ask: Ask,
        memory: Memory,
        *,
        store: Store,
    ) -> list[Answer]:
        """Answer with the counterfactual model, each probe behind its edit."""
        model, edits = self.counterfactual(backbone), [each.edit for each in chosen]
        if ask.decode == "generate":
            return model.write(probes, edits, ask, store=store, weights=memory.weights)
        asks = [ask] * len(probes)
        asked = backbone.encode([probe.query for probe in probes], [probe.target for probe in probes], asks)
        other = model.logits(probes, edits, asks, store=store, weights=memory.weights)
        pieces = zip(asked.encoded, other.logits, strict=True)
        return read_off(backbone, asked.encoded, [aligned(piece, len(each.rows)) for each, piece in pieces], asks)

    def prepare(self, backbone: Backbone, cases: Sequence[EditCase], *, store: Store) -> None:
        """Lay out fresh networks."""
        self._lay_out(backbone)

    def load_state_dict(self, backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
        """Lay out the networks and fill them."""
        self._lay_out(backbone)
        fill(self.networks(), tensors, editor=self.name, backbone=backbone.name)

    def release(self) -> None:
        """Forget the networks, and the counterfactual language model where it is not the backbone's own."""
        self.network = self.second_model = None

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint under the networks' own names."""
        return self.gate.translate(published)

    def optimizer(self) -> tuple[torch.optim.Optimizer, None]:
        """Return Adam over the classifier and the counterfactual model."""
        networks, values = self.networks(), self.settings
        groups = [
            {"params": list(networks.scope.parameters()), "lr": values.scope_learning_rate},
            {"params": list(networks.counterfactual.parameters()), "lr": values.learning_rate},
        ]
        # Fused on a GPU: the other implementations need memory for copies of all that is trained.
        on_card = next(networks.parameters()).is_cuda
        return torch.optim.Adam(groups, fused=on_card), None

    def losses(self, backbone: Backbone, case: EditCase, *, store: Store, learn: bool) -> Mapping[str, Tensor]:
        """Return what a record's loss is made of; see `training`."""
        return losses(self, backbone, case, store=store)

    def after_step(self) -> None:
        """Do nothing."""

    def after_validation(self, figures: Mapping[str, float]) -> float:
        """Return the loss, by which the published code chooses as well."""
        return figures["total"]

    def _lay_out(self, backbone: Backbone) -> None:
        values, loaded = self.settings, self.gate.load(backbone)
        self.keys = loaded.keys
        if values.counterfactual != replacement.OWN:
            self.second_model = replacement.load(backbone, values, editor=self.name, seed=self.seed)
        model = self.counterfactual(backbone)
        projects = values.projection == "trained"
        trained = originals(model.reader.module, model.names().values(), projection=projects)
        self.network = fresh(loaded.fresh, trained, rank=values.rank, seed=self.seed)
        self.network.scope.to(backbone.device)  # what is trained of the counterfactual model is where its layers are


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> Serac:
    """SERAC: edits are remembered, and a second model answers what they concern."""
    values = build(SERACSettings, settings, editor="serac")
    return Serac(values, switches, unrelated(train), seed, TextGate(values), soft=values.scope == "soft")
