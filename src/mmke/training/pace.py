"""Which record is trained on when, when to validate, and when to end.

Records are shuffled anew in every epoch, by seed and epoch alone, so that a place in the order can be taken up again.

The published codes (MMKE-Bench, arXiv:2502.19870) have two ways, kept under `paper`. Both validate at regular intervals
alone, not at the end:
- by epochs (MEND and SERAC): as many epochs as come nearest to the steps; the counter starts at one and its last value
  is not trained on; what is called early stopping ends the epoch and not the training;
- by steps (KE): exactly as many as are stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mmke.protocols import Training

KEPT = ("epoch", "place", "done", "best", "best_at", "ended")
"""What has to be known to go on."""


@dataclass
class Pace:
    """Where training is.

    Attributes:
        records: of the training split.
        training: the editor's settings.
        published: which published way is followed; None: ours, with a real early stop and a validation at the end.
        seed: of the order.
        epoch: from 0 on.
        place: within the epoch.
        done: records that were trained on.
        best: figure of the best validation; lower is better.
        best_at: records trained on until then.
        ended: whether it is over.
    """

    records: int
    training: Training
    published: Literal["epochs", "steps"] | None
    seed: int
    epoch: int = 0
    place: int = 0
    done: int = 0
    best: float | None = None
    best_at: int = 0
    ended: bool = False

    @property
    def epochs(self) -> int:
        """Return how many times the records are gone over, at most."""
        if self.published == "epochs":
            return round(self.training.steps / self.records)
        return -(-self.training.steps // self.records)

    @property
    def steps(self) -> int:
        """Return how many records will be trained on when nothing ends it early."""
        most = self.training.steps - 1 if self.published == "epochs" else self.training.steps
        return min(self.epochs * self.records, most)

    def state_dict(self) -> dict[str, Any]:
        """Return where it is, as plain data."""
        return {name: getattr(self, name) for name in KEPT}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Move to where it was."""
        for name in KEPT:
            setattr(self, name, state[name])

    def over(self) -> bool:
        """Return whether there is nothing more to train on."""
        return self.ended or self.done >= self.steps or self.epoch >= self.epochs

    def next(self) -> int:
        """Return the number of the next record and move past it."""
        record = self._order()[self.place]
        self.done += 1
        self.place += 1
        if self.place == self.records:
            self._turn()
        return record

    def validates(self, *, since: int) -> bool:
        """Return whether a validation was due behind one of the records since so many were done.

        The published codes leave out the one at the end, unless there was none before.
        """
        at_end = self.over() and (self.best is None or self.published is None)
        interval = self.training.validate_every or self.records
        return at_end or self.done // interval > max(since, 0) // interval

    def record_validation(self, figure: float) -> bool:
        """Take a validation's figure (lower is better) and return whether it is the best so far."""
        better = self.best is None or figure < self.best
        if better:
            self.best, self.best_at = figure, self.done
        if self.done - self.best_at >= self.training.patience:
            if self.published == "epochs":
                if self.place:
                    self._turn()
            else:
                self.ended = True
        return better

    def _turn(self) -> None:
        self.epoch, self.place = self.epoch + 1, 0

    def _order(self) -> list[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        order: list[int] = torch.randperm(self.records, generator=generator).tolist()
        return order
