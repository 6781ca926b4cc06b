"""One editor's edits in one tab: its session, and its state after each edit, to which it can go back."""

import hashlib
from contextlib import ExitStack
from dataclasses import replace

import torch

from mmke.errors import UserError
from mmke.protocols import EditSession, SessionState
from mmke.types import Edit
from mmke.web.play.room.room import Room

Layer = tuple[Edit, ...]
"""What one step put on top of the others: one edit, or all of a file."""


class Column:
    """A session that follows the layers of its tab.

    Attributes:
        refused: for each layer that the editor could not take, the reason.
    """

    def __init__(self, room: Room, name: str) -> None:
        """Open a session.

        Raises:
            UserError: the editor cannot be made.
        """
        self._room, self.name = room, name
        self._stack = ExitStack()
        self._states: list[SessionState] = []
        self.refused: dict[int, str] = {}
        self.session = self._opened()

    @property
    def depth(self) -> int:
        """How many layers are applied."""
        return len(self._states)

    def apply(self, layer: Layer) -> None:
        """Apply a layer on top; one that the editor cannot take is passed over, and `refused` says why.

        Whatever else is raised leaves the session as it was before.
        """
        try:
            for edit in layer:
                self.session.apply([edit])
        except UserError as error:
            self._restore()
            self.refused[self.depth] = str(error)
        except BaseException:
            self._restore()
            raise
        self._states.append(_kept(self.session.state()))

    def back_to(self, depth: int) -> None:
        """Go back to the state after `depth` layers, bit for bit."""
        if depth < self.depth:
            del self._states[depth:]
            self.refused = {layer: why for layer, why in self.refused.items() if layer < depth}
            self._restore()

    def load(self, state: SessionState) -> None:
        """Take over a saved session as the only layer.

        Raises:
            UserError: it does not fit.
        """
        try:
            self.session.load_state(state)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
            raise UserError(f"the file does not fit {self.name}: {type(error).__name__}") from error
        self._states = [_kept(state)]

    def state(self) -> SessionState:
        """Return the session's state."""
        return self.session.state()

    def digest(self) -> str:
        """Return a digest of the state, every bit of it."""
        digest = hashlib.sha256()
        state = _kept(self.session.state())
        for name in sorted(state.tensors):
            tensor = state.tensors[name]
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        digest.update(repr(sorted(state.facts.items())).encode())
        return digest.hexdigest()

    def close(self) -> None:
        """End the session."""
        self._stack.close()

    def _opened(self) -> EditSession:
        editor = self._room.editor(self.name)
        return self._stack.enter_context(editor.open(self._room.backbone, self._room.store))

    def _restore(self) -> None:
        """Open the session anew, with the last state; a failed edit may have left anything in the one before."""
        self._stack.close()
        self.session = self._opened()
        if self._states:
            self.session.load_state(self._states[-1])


def _kept(state: SessionState) -> SessionState:
    """Return a copy of a state in the machine's memory, which no later edit can change."""
    return replace(state, tensors={name: tensor.to("cpu", copy=True) for name, tensor in state.tensors.items()})
