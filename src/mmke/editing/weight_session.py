"""Editors whose edits live in weights, and their session: in an editor, out answers of the edited model.

The edited tensors stand in for the module's own while a probe is answered (`engine.substitution`); nothing is written.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import nn

from mmke.backbones.engine.answering import answer, by_ask
from mmke.backbones.engine.substitution import written
from mmke.editing import sites, states
from mmke.protocols import Backbone, Cut, EditSession, SessionState, Store, Weights
from mmke.types import Answer, Ask, Asks, Edit, Probe


@runtime_checkable
class WeightEditor(Protocol):
    """What the session asks of an editor.

    Attributes:
        name: as registered.
        sites: what is edited, by role; see `sites.SITE`.
    """

    @property
    def name(self) -> str: ...
    @property
    def sites(self) -> Sequence[str]: ...

    def edited(self, backbone: Backbone, edits: Sequence[Edit], *, store: Store, before: Weights) -> Weights:
        """Return the edited tensors after one batch of edits, which begins from `before`.

        Raises:
            UserError: an edit cannot be made.
        """
        ...

    def asking(self, ask: Ask) -> Ask:
        """Return how the model is asked, before and after the edits."""
        ...


class SiteEditor:
    """What editors of weights have in common: their settings state by role what is edited.

    A subclass has `settings`, `name` and `edited`, and replaces what it does in another way.
    """

    settings: Any

    @property
    def sites(self) -> tuple[str, ...]:
        """Return what is edited, by role."""
        return tuple(self.settings.sites)

    def cut(self, backbone: Backbone) -> Cut:
        """Return the highest cut below everything that is edited."""
        return sites.cut_below(backbone, self.sites)

    def check(self, backbone: Backbone) -> None:
        """Resolve every edited tensor.

        Raises:
            UserError: the backbone lacks one.
        """
        sites.tensors(backbone, self.sites)

    def asking(self, ask: Ask) -> Ask:
        """Return how the model is asked: as the metric wants it."""
        return ask

    @contextmanager
    def open(self: Any, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is written into the module, so there is nothing to undo at the end."""
        yield WeightSession(self, backbone, store)


@dataclass
class WeightSession:
    """The edited tensors of one session, by parameter name; empty until something is applied."""

    editor: WeightEditor
    backbone: Backbone
    store: Store
    weights: Weights = field(default_factory=dict)

    def apply(self, edits: Sequence[Edit]) -> None:
        """Edit by one batch, on top of what was applied before."""
        if edits:
            self.weights = self.editor.edited(self.backbone, edits, store=self.store, before=self.weights)

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe; those that the edited tensors cannot reach are answered by the unedited model."""
        return by_ask(self._answer, probes, ask)

    def _answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        reached = [bool(self.weights) and sites.reach(self.editor.sites, probe.query) for probe in probes]
        # Both models are asked all probes together, as the unedited one was before the edit: how many rows a product
        # has moves the last bit of each.
        edited = self._ask(probes, ask, self.weights) if any(reached) else []
        base = [] if all(reached) else self._ask(probes, ask, {})
        return [edited[i] if inside else base[i] for i, inside in enumerate(reached)]

    def _ask(self, probes: Sequence[Probe], ask: Ask, weights: Weights) -> list[Answer]:
        cut, asked = sites.cut_below(self.backbone, self.editor.sites), self.editor.asking(ask)
        return answer(self.backbone, probes, asked, store=self.store, cut=cut, weights=weights)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the model with the edited tensors written in, rounded to the model's own precision."""
        return written(self.backbone.module, self.weights)

    def state(self) -> SessionState:
        """Return the edited tensors."""
        return SessionState(states.flat(self.weights), states.facts(self.editor.name, self.backbone))

    def load_state(self, state: SessionState) -> None:
        """Go on from edited tensors of another session."""
        states.check(state, self.editor.name, self.backbone)
        wanted = sites.tensors(self.backbone, self.editor.sites)
        self.weights = states.nested(state.tensors, wanted, editor=self.editor.name)
