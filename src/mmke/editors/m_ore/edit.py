"""M-ORE: one pass back, and a low-rank write into a few layers, orthogonal to what was written before.

In: a batch of edits. Out: of each edited matrix a low-rank update. Source: M-ORE, arXiv:2605.20273, and ScopeEdit,
arXiv:2607.01978. A linear computes W x + scale · B A x. The rows of A are random, orthonormal and never change; B
begins at zero. A write takes the gradient of B, scores each *group* (the matrices of a layer, or of the projector) by
the lengths of its gradients, and moves the best groups: B <- B - step · (gradient of B) P. Then their P is closed along
the edit's key, the mean of A x over the positions that predict the target. P is kept over the whole session.

With `shared_rows` a write into these rows of A passes ScopeEdit's gate (`gate`).

Deviations from the published code:
- A is orthonormal where M-ORE draws it otherwise, so that `regularisation` has the scale of ScopeEdit's.
- A batch of several edits is one write by the mean of their losses; a group's score is the mean over the edits, and
  each edit's key is closed afterwards.
- What is protected before the first edit are questions of training records, never those of the evaluation.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmke import steps
from mmke.backbones.engine.answering import kept_trunk
from mmke.backbones.engine.sending import sent
from mmke.editing import sites
from mmke.editing.factors import Factors, factors, inputs
from mmke.editing.fitting import refuse_unreached
from mmke.editing.observing_session import ObservingSession
from mmke.editing.settings import build
from mmke.editing.weight_session import SiteEditor, WeightSession
from mmke.editors.m_ore.projections import Projections, drawn, move
from mmke.editors.m_ore.reading import Reading, gated, gradient, key, met, together
from mmke.editors.m_ore.settings import MORESettings
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import Backbone, Batch, EditSession, Encoded, LowRankUpdate, Store, Weights
from mmke.types import Ask, Edit, EditCase, Probe, Switches

PROJECTOR = "projector"
"""The group of all matrices of the projector or Q-Former."""
OUTSIDE = (
    "m-ore.normalise = true puts a LayerNorm between the two factors of an edit, so that it is no change of weights; "
    "ask the session instead, or make the edit with m-ore.normalise=false"
)


@dataclass(frozen=True)
class MORE(SiteEditor):
    """M-ORE by its settings.

    Attributes:
        seed: of A.
        protected: unrelated questions of training records, which are closed before the first edit.
        projections: belong to a session.
    """

    settings: MORESettings
    switches: Switches
    seed: int
    protected: tuple[Probe, ...] = ()
    name: str = "m-ore"
    projections: Projections | None = None

    def check(self, backbone: Backbone) -> None:
        """Resolve every edited matrix.

        Raises:
            UserError: the backbone lacks one, or has one with fewer inputs than A has rows.
        """
        for name, own in sites.tensors(backbone, self.sites).items():
            if self.settings.rank > own.shape[1]:
                raise UserError(
                    f"m-ore.rank = {self.settings.rank}, and {name} of {backbone.name} has {own.shape[1]} inputs, "
                    "which is the most rows that can be orthonormal; give a smaller rank"
                )

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session with nothing closed; nothing is written into the module, so nothing is to be undone."""
        self.check(backbone)
        own = Projections(sites.tensors(backbone, self.sites), self.settings.rank)
        session = WeightSession(replace(self, projections=own), backbone, store)
        yield ObservingSession(
            session, own, "other sites or another rank", OUTSIDE if self.settings.normalise else None
        )

    @torch.no_grad()
    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Write a batch of edits, on top of what was written before.

        Raises:
            CannotAskError: an edit cannot be made; the session then restores the projections.
        """
        refuse_unreached(self, edits)
        weights = {name: each for name, each in before.items() if isinstance(each, LowRankUpdate)}
        if not weights:
            weights = self._begun(backbone, store)
            self._protect(backbone, weights, store)
        for _ in range(self.settings.steps):
            readings = []
            for number, edit in enumerate(edits):
                steps.say(f"taking the gradient of edit {number + 1} of {len(edits)}")
                readings.append(self._read(backbone, edit, weights, store))
            weights |= self._written(backbone, together(readings), weights)
        return weights

    def groups(self, backbone: Backbone) -> dict[str, str]:
        """Return the group of each edited matrix, by name."""
        layers = {f"{backbone.site('language', number)}.": f"layer {number}" for number in range(backbone.layers)}
        names = sites.parameters(backbone, self.sites)
        return {
            name: next((group for prefix, group in layers.items() if name.startswith(prefix)), PROJECTOR)
            for name in names
        }

    def _begun(self, backbone: Backbone, store: Store) -> dict[str, LowRankUpdate]:
        """Return A as drawn, and B of zeros, for each matrix."""
        begun, rank = {}, self.settings.rank
        for name, own in sites.tensors(backbone, self.sites).items():
            rows = store.get(
                (backbone.state, self.name, self.seed, rank, name), partial(drawn, own, rank, name=name, seed=self.seed)
            )
            zeros = torch.zeros(rank, len(own), device=own.device)
            begun[name] = LowRankUpdate(rows, zeros, normalised=self.settings.normalise)
        return begun

    def _read(
        self, backbone: Backbone, edit: Edit, weights: Mapping[str, LowRankUpdate], store: Store
    ) -> dict[str, Reading]:
        """Return what one edit says of each matrix that it passes through."""
        gates = self.settings.shared_rows > 0
        # The gate reads the positions of the question and the picture in every layer, the last one too.
        ask = Ask(labels=self.switches.labels, positions="all" if gates else "answer")
        batch = backbone.encode([edit.query], [edit.target], ask)
        trunk = kept_trunk(backbone, batch, self.cut(backbone), store)
        encoded, groups = batch.encoded[0], self.groups(backbone)
        target = sent(encoded.target_ids, batch.order.device)
        found = factors(backbone, trunk, list(weights), target, weights)
        return {name: self._reading(each, weights[name], encoded, groups[name]) for name, each in found.items()}

    def _reading(self, found: Factors, update: LowRankUpdate, encoded: Encoded, group: str) -> Reading:
        rows, is_projector = met(found.inputs, update), group == PROJECTOR
        slope, keys = gradient(found, rows, self.settings.scale), [self._key(rows, encoded, group)]
        score = slope.norm()
        if self.settings.shared_rows and not is_projector:
            slope, shared = gated(slope, found.inputs, update.inputs[: self.settings.shared_rows], encoded)
            keys.append(shared)
        return Reading(slope, score, keys)

    def _key(self, rows: Tensor, encoded: Encoded, group: str) -> Tensor:
        is_projector = group == PROJECTOR
        shared = 0 if is_projector else self.settings.shared_rows
        return key(rows, encoded, everywhere=is_projector, shared=shared, unit=self.settings.keys == "unit")

    def _written(
        self, backbone: Backbone, found: Mapping[str, Reading], weights: Mapping[str, LowRankUpdate]
    ) -> dict[str, LowRankUpdate]:
        """Return the updates of the best groups after a write, and close what was written."""
        groups, written = self.groups(backbone), {}
        chosen = best({name: float(each.score) for name, each in found.items()}, groups, self.settings.groups)
        for name in (name for name in found if groups[name] in chosen):
            reading, update = found[name], weights[name]
            taken = move(reading.gradient, self._projections.of(name), self._steps(groups[name], update.inputs))
            written[name] = replace(update, outputs=(update.outputs - self.settings.scale * taken.T).contiguous())
            for each in reading.keys:
                self._projections.close(name, each, self.settings.regularisation)
        return written

    def _steps(self, group: str, rows: Tensor) -> Tensor:
        """Return what the gradient of B is multiplied by for each row of A."""
        if group == PROJECTOR:
            return rows.new_full((len(rows),), self.settings.projector_step)
        steps = rows.new_full((len(rows),), self.settings.step)
        steps[: self.settings.shared_rows] = self.settings.shared_step
        return steps

    def _protect(self, backbone: Backbone, weights: Mapping[str, LowRankUpdate], store: Store) -> None:
        """Close the directions of unrelated questions of training records."""
        groups, asked = self.groups(backbone), Ask(labels=self.switches.labels)
        for probe in self.protected:
            batch = backbone.encode([probe.query], [probe.target], asked)

            def make(batch: Batch = batch) -> Mapping[str, Tensor]:
                fed = inputs(backbone, kept_trunk(backbone, batch, self.cut(backbone), store), list(weights))
                met_there = {name: met(rows, weights[name]) for name, rows in fed.items()}
                return {name: self._key(rows, batch.encoded[0], groups[name]) for name, rows in met_there.items()}

            where = (backbone.state, self.name, self.seed, self.settings, batch.digest)
            for name, each in store.get(where, make).items():
                self._projections.close(name, each, self.settings.regularisation)

    @property
    def _projections(self) -> Projections:
        assert self.projections is not None  # noqa: S101  # `open` makes them
        return self.projections


def best(scores: Mapping[str, float], groups: Mapping[str, str], number: int) -> list[str]:
    """Return the groups with the largest sums of their matrices' scores; of equal ones the first."""
    sums: dict[str, float] = {}
    for name, score in scores.items():
        sums[groups[name]] = sums.get(groups[name], 0.0) + score
    return sorted(sums, key=lambda group: -sums[group])[:number]


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> MORE:
    """M-ORE: low-rank writes into a few layers, each orthogonal to those before; with ScopeEdit's gate by a setting.

    Raises:
        NeedsTrainingError: questions of training records are to be protected, and there are none.
    """
    values = build(MORESettings, settings, editor="m-ore")
    if values.protect and not train:
        raise NeedsTrainingError(
            f"m-ore.protect = {values.protect} closes the unrelated questions of training records, and this benchmark "
            "has none; give m-ore.protect=0"
        )
    unrelated = [probe for case in train[: values.protect] for probe in case.probes if probe.kind.role == "locality"]
    return MORE(values, switches, seed, tuple(unrelated))
