"""A session of edits in weights whose editor keeps statistics of the edits, which belong to its saved state.

In: a session, and the module whose buffers are the statistics; its editor changes them. Out: the same session, which
saves them, and restores them where an edit cannot be made.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from torch import Tensor, nn

from mmke.editing.weight_session import WeightSession
from mmke.errors import UserError
from mmke.protocols import SessionState
from mmke.types import Answer, Asks, Edit, Probe

STATISTICS = "statistics."
"""Before the name of a statistic in a saved session."""


@dataclass
class ObservingSession:
    """A session of edits in weights, and the module whose statistics it changes.

    Attributes:
        session: whose editor changes them.
        statistics: its buffers are the statistics.
        otherwise: the difference in settings by which a saved session has others, for a message.
        outside: why the edit is no change of weights, for a message; None: it is one.
    """

    session: WeightSession
    statistics: nn.Module
    otherwise: str
    outside: str | None = None

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
        """Lend the edited model.

        Raises:
            UserError: the edit is no change of weights.
        """
        if self.outside is not None:
            raise UserError(self.outside)
        return self.session.module()

    def state(self) -> SessionState:
        """Return the edited tensors and the statistics."""
        state = self.session.state()
        return replace(state, tensors={**state.tensors, **self._statistics()})

    def load_state(self, state: SessionState) -> None:
        """Go on from edited tensors and statistics of another session."""
        statistics = {name: tensor for name, tensor in state.tensors.items() if name.startswith(STATISTICS)}
        here, there = ({name: each.shape for name, each in some.items()} for some in (self._statistics(), statistics))
        differing = {name for name in here | there if here.get(name) != there.get(name)}
        if differing:
            raise UserError(
                f"{self.session.editor.name}: the saved session does not fit: the tensor {min(differing)!r} is "
                f"missing, surplus or of another shape; it was saved under {self.otherwise}, so open the session with "
                "that setting"
            )
        weights = {name: tensor for name, tensor in state.tensors.items() if name not in statistics}
        self.session.load_state(replace(state, tensors=weights))
        self._restore(statistics)

    def _statistics(self) -> dict[str, Tensor]:
        return {STATISTICS + name: statistic.clone() for name, statistic in self.statistics.named_buffers()}

    def _restore(self, statistics: dict[str, Tensor]) -> None:
        for name, statistic in self.statistics.named_buffers():
            statistic.copy_(statistics[STATISTICS + name])
