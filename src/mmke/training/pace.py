"""Which record is trained on when, when to validate, and when to end.

Records are shuffled anew in every epoch, by seed and epoch alone, so that a place in the order can be taken up again.

The published code (spec of MMKE-Bench, arXiv:2502.19870) has its own way, kept under `paper`: it counts epochs, from a
counter that starts at one; what it calls early stopping ends the epoch and not the training.
"""

from dataclasses import dataclass

import torch

from mmke.protocols import Training


@dataclass
class Pace:
    """Where training is.

    Attributes:
        records: of the training split.
        training: the editor's settings.
        published: whether early stopping ends the epoch alone.
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
    published: bool
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
        if self.published:
            return round(self.training.steps / self.records)
        return -(-self.training.steps // self.records)

    @property
    def steps(self) -> int:
        """Return how many records will be trained on when nothing ends it early."""
        # The published counter starts at one, and its last value is not trained on.
        most = self.training.steps - 1 if self.published else self.training.steps
        return min(self.epochs * self.records, most)

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

        The published code leaves out the one at the end, unless there was none before.
        """
        at_end = self.over() and (self.best is None or not self.published)
        return at_end or self.done // self.training.validate_every > max(since, 0) // self.training.validate_every

    def heard(self, figure: float) -> bool:
        """Take a validation's figure (lower is better) and return whether it is the best so far."""
        better = self.best is None or figure < self.best
        if better:
            self.best, self.best_at = figure, self.done
        if self.done - self.best_at >= self.training.patience:
            if self.published:
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
