"""The editor that edits nothing: its scores are the floor of every table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from mmke.backbones.engine.answering import answer, by_ask
from mmke.editing import sites, states
from mmke.editing.settings import EditorSettings, build
from mmke.protocols import Backbone, Cut, Editor, EditSession, SessionState, Store
from mmke.types import Answer, Asks, Edit, EditCase, Probe, Switches


class NoneSettings(EditorSettings):
    """No settings."""


@dataclass(frozen=True)
class NullSession:
    """Answers as the unedited model, whatever is applied.

    Attributes:
        backbone: unedited.
        store: keeps what the backbone computes.
        cut: where what it computes is stored as well, for the editors that are run next; None: nowhere else.
    """

    backbone: Backbone
    store: Store
    cut: Cut | None = None

    def apply(self, edits: Sequence[Edit]) -> None:
        """Do nothing."""

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer unedited."""
        return by_ask(lambda some, way: answer(self.backbone, some, way, store=self.store, cut=self.cut), probes, ask)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the unedited model."""
        return nullcontext(self.backbone.module)

    def state(self) -> SessionState:
        """Return a state without tensors."""
        return SessionState({}, states.facts("none", self.backbone))

    def load_state(self, state: SessionState) -> None:
        """Check that it is a state of this editor; there is nothing to load."""
        states.check(state, "none", self.backbone)


@dataclass(frozen=True)
class NullEditor:
    """Leaves the model as it is: locality 1.0, everything else the floor.

    Attributes:
        prepares_for: editors that are run on the same records next; what the unedited model computes below the layers
            they edit is stored for them.
    """

    name: str = "none"
    prepares_for: tuple[Editor, ...] = ()

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return None: nothing is edited."""
        del backbone
        return None

    def check(self, backbone: Backbone) -> None:
        """Accept every backbone."""

    @contextmanager
    def open(self, backbone: Backbone, store: Store) -> Iterator[EditSession]:
        """Begin a session that changes nothing."""
        yield NullSession(backbone, store, sites.lowest_inside(backbone, self.prepares_for))


def prepare_for(floor: Editor, editors: Iterable[Editor]) -> Editor:
    """Return `none` so that it stores what the editors that are run next need; return another editor unchanged."""
    return replace(floor, prepares_for=tuple(editors)) if isinstance(floor, NullEditor) else floor


def make(settings: Mapping[str, Any], switches: Switches, *, train: Sequence[EditCase], seed: int) -> NullEditor:
    """The unedited model: the floor of every table."""
    del switches, train, seed
    build(NoneSettings, settings, editor="none")
    return NullEditor()
