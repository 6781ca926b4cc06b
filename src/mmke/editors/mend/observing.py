"""MEND whose statistics run on while it edits, as where a stream is edited in training mode.

In: a session whose editor has networks of its own (`renewed`). Out: the same, with the statistics in its saved state.
"""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from torch import Tensor, nn

from mmke.editing.weight_session import WeightSession
from mmke.editors.mend.network import Networks
from mmke.errors import UserError
from mmke.protocols import SessionState
from mmke.types import Answer, Asks, Edit, Probe

STATISTICS = "statistics."
"""Before the name of a statistic in a saved session."""


def renewed(networks: Networks) -> Networks:
    """Return networks with the same trained tensors, and with statistics of their own, of no row yet."""
    shared = {id(parameter): parameter for parameter in networks.parameters()}
    own = copy.deepcopy(networks, shared)
    for statistic in own.buffers():
        statistic.zero_()
    return own


@dataclass
class ObservingSession:
    """A session of edits in weights, and the networks whose statistics it changes."""

    session: WeightSession
    networks: Networks

    def apply(self, edits: Sequence[Edit]) -> None:
        """Edit by one batch; an edit that cannot be made changes no statistics."""
        before = self._statistics()
        try:
            self.session.apply(edits)
        except UserError:
            self._restore(before)
            raise

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe."""
        return self.session.answer(probes, ask)

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the edited model."""
        return self.session.module()

    def state(self) -> SessionState:
        """Return the edited tensors and the statistics."""
        state = self.session.state()
        return replace(state, tensors={**state.tensors, **self._statistics()})

    def load_state(self, state: SessionState) -> None:
        """Go on from edited tensors and statistics of another session."""
        statistics = {name: tensor for name, tensor in state.tensors.items() if name.startswith(STATISTICS)}
        missing = self._statistics().keys() ^ statistics.keys()
        if missing:
            raise UserError(
                f"mend: the saved session does not fit: the tensor {min(missing)!r} is missing or surplus; it was "
                "saved under another statistics_while_editing, so open the session with that setting"
            )
        weights = {name: tensor for name, tensor in state.tensors.items() if name not in statistics}
        self.session.load_state(replace(state, tensors=weights))
        self._restore(statistics)

    def _statistics(self) -> dict[str, Tensor]:
        return {STATISTICS + name: statistic.clone() for name, statistic in self.networks.named_buffers()}

    def _restore(self, statistics: dict[str, Tensor]) -> None:
        for name, statistic in self.networks.named_buffers():
            statistic.copy_(statistics[STATISTICS + name])
