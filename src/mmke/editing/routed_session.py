"""The session of every editor that remembers edits and decides per query whether one of them concerns it.

In come an editor and queries; a decision is made once per query, from its question and picture alone, and either the
unedited model answers or the remembered edit's own route does. Every answer says so in its notes: `accepted` 1 or 0,
and where it is 1 `edit`, the chosen edit's index among all edits that were applied, if one alone was chosen.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from mmke.backbones.engine.answering import answer, by_ask
from mmke.editing import states
from mmke.errors import UserError
from mmke.protocols import Backbone, Cut, EditSession, Route, SessionState, Store
from mmke.types import Answer, Ask, Asks, Edit, Probe, Query

M = TypeVar("M")


class Chosen(NamedTuple):
    """The remembered edit that answers a query: its number among all that were applied, from 0, and itself."""

    number: int
    edit: Edit


@runtime_checkable
class RoutingEditor(Protocol[M]):
    """What the session asks of an editor; `M` is what it makes of the edits in force, such as vectors to search in."""

    @property
    def name(self) -> str: ...

    def remember(self, backbone: Backbone, edits: Sequence[Edit], before: M | None, *, store: Store) -> M:
        """Return the memory after one more batch of edits; the edits in `before` are not read again.

        Raises:
            CannotAskError: an edit cannot be made; `before` is what it was.
        """
        ...

    def saved(self, memory: M) -> Mapping[str, Tensor]:
        """Return what of the memory a saved session needs besides the texts of the edits."""
        ...

    def restored(self, backbone: Backbone, edits: Sequence[Edit], tensors: Mapping[str, Tensor]) -> M:
        """Return the memory of all edits in force from what `saved` returned.

        Raises:
            UserError: a tensor is missing, or of another shape.
        """
        ...

    def decide(
        self, backbone: Backbone, queries: Sequence[Query], edits: Sequence[Edit], memory: M, *, store: Store
    ) -> list[Route]:
        """Return of each query the edit that answers it, by index; None: the unedited model answers."""
        ...

    def speak(
        self,
        backbone: Backbone,
        probes: Sequence[Probe],
        chosen: Sequence[Chosen],
        ask: Ask,
        memory: M,
        *,
        store: Store,
    ) -> list[Answer]:
        """Answer each probe by its edit's route."""
        ...


class RememberingEditor:
    """What editors that remember have in common: how a session is opened, and how answers are put together.

    A subclass is a `RoutingEditor`, and replaces what it does in another way.
    """

    names_edit: ClassVar[bool] = True
    """Whether answers say which edit was chosen; see `RoutedSession`."""

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return None: a question on an edit is answered in a way of its own, and shares no trunk with the others."""
        del backbone
        return None

    @contextmanager
    def open(self: Any, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session; nothing is written into the module, so there is nothing to undo at the end."""
        yield RoutedSession(self, backbone, store, names_edit=self.names_edit)


@dataclass
class RoutedSession(Generic[M]):
    """The edits that are remembered, and the decisions made so far.

    Attributes:
        names_edit: whether answers say which edit was chosen. False: what answers was made of many edits, and a route
            is the newest of them.
    """

    editor: RoutingEditor[M]
    backbone: Backbone
    store: Store
    edits: list[Edit] = field(default_factory=list)
    memory: M | None = None
    decided: dict[Query, Route] = field(default_factory=dict)
    names_edit: bool = True

    @torch.no_grad()
    def apply(self, edits: Sequence[Edit]) -> None:
        """Remember a batch of edits behind those before."""
        if edits:
            self.memory = self.editor.remember(self.backbone, edits, self.memory, store=self.store)
            self.edits += edits
            self.decided.clear()

    @torch.no_grad()
    def decide(self, queries: Sequence[Query]) -> list[Route]:
        """Return of each query the edit that answers it, by index; None: the unedited model answers."""
        if self.memory is None:
            return [None] * len(queries)
        new = [query for query in dict.fromkeys(queries) if query not in self.decided]
        if new:
            routes = self.editor.decide(self.backbone, new, self.edits, self.memory, store=self.store)
            self.decided |= zip(new, routes, strict=True)
        return [self.decided[query] for query in queries]

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe by its route."""
        return by_ask(self._answer, probes, ask)

    @torch.no_grad()
    def _answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        routes = self.decide([probe.query for probe in probes])
        inside = {i: Chosen(route, self.edits[route]) for i, route in enumerate(routes) if route is not None}
        # The unedited model is asked all of them together, as it was before the edit: how many rows a product has
        # moves the last bit of each.
        said = [] if len(inside) == len(probes) else answer(self.backbone, probes, ask, store=self.store)
        if self.memory is None:
            return said
        if not inside:
            return [noted(answer, None) for answer in said]
        spoken = self.editor.speak(
            self.backbone, [probes[i] for i in inside], list(inside.values()), ask, self.memory, store=self.store
        )
        own = dict(zip(inside, spoken, strict=True))
        return [
            noted(own[i] if i in own else said[i], route, names_edit=self.names_edit) for i, route in enumerate(routes)
        ]

    def module(self) -> AbstractContextManager[nn.Module]:
        """Refuse: there is no edited module."""
        raise UserError(
            f"{self.editor.name} decides per question which model answers and leaves the module as it is; ask the "
            "session instead"
        )

    def state(self) -> SessionState:
        """Return the edits, and what was made of them."""
        tensors = {} if self.memory is None else self.editor.saved(self.memory)
        return SessionState(tensors, states.facts(self.editor.name, self.backbone, edits=states.of_edits(self.edits)))

    @torch.no_grad()
    def load_state(self, state: SessionState) -> None:
        """Remember the edits of another session in place of one's own."""
        states.check(state, self.editor.name, self.backbone)
        edits = states.edits_of(state.facts["edits"])
        self.memory = self.editor.restored(self.backbone, edits, state.tensors) if edits else None
        self.edits = edits
        self.decided.clear()


def by_group(groups: Sequence[int], say: Callable[[int, Sequence[int]], Sequence[Answer]]) -> list[Answer]:
    """Return answers in the order of the questions, where those of one group are given together.

    Args:
        groups: of each question, such as the number of its edit.
        say: answers, for a group, the questions at these places.
    """
    said: dict[int, Answer] = {}
    for group in dict.fromkeys(groups):
        places = [i for i, each in enumerate(groups) if each == group]
        said |= zip(places, say(group, places), strict=True)
    return [said[i] for i in range(len(groups))]


def noted(answer: Answer, route: Route, *, names_edit: bool = True) -> Answer:
    """Return an answer whose notes say whether a remembered edit was chosen, and which, unless it was many."""
    chosen = {"edit": route} if names_edit and route is not None else {}
    return replace(answer, notes={**answer.notes, "accepted": int(route is not None), **chosen})
