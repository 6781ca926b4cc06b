"""The progress of a training: which record comes next, when to validate, and when to stop.

In: the number of training records, the editor's training settings, the figure of each validation. Out: the index of
the next record, and whether a validation is due or the training is finished. The order of an epoch depends on seed and
epoch number alone, so that a training can continue in the middle of one.

The published codes (MMKE-Bench, arXiv:2502.19870) count in two ways, which `paper` keeps. Both validate at regular
intervals, and not at the end:
- by epochs (MEND and SERAC): the number of epochs is steps / records, rounded; the step counter starts at one, and no
  record is trained on at its last value; early stopping ends the epoch and not the training;
- by steps (KE): exactly the stated number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mmke.protocols import Training

STATE = ("epoch", "place", "done", "best", "best_at", "ended")
"""The attributes that the last checkpoint holds."""


@dataclass
class Progress:
    """The progress of one training.

    Attributes:
        records: how many training records there are.
        training: the editor's training settings.
        published: the published way of counting that is followed; None: our own, where early stopping ends the training
            and its end is validated.
        seed: of the order of the records.
        epoch: number of the current epoch, from 0.
        place: index of the next record in the order of this epoch.
        done: number of records that were trained on; a record counts again in each epoch.
        best: figure of the best validation so far (lower is better); None before the first.
        best_at: value of `done` at that validation.
        ended: whether early stopping has ended the training.
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
        """Return the number of epochs, if early stopping does not end the training."""
        if self.published == "epochs":
            return round(self.training.steps / self.records)
        return -(-self.training.steps // self.records)

    @property
    def steps(self) -> int:
        """Return the number of records that will be trained on, if early stopping does not end the training."""
        most = self.training.steps - 1 if self.published == "epochs" else self.training.steps
        return min(self.epochs * self.records, most)

    def state_dict(self) -> dict[str, Any]:
        """Return what the last checkpoint holds of it, as plain data."""
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for name in STATE:
            setattr(self, name, state[name])

    def finished(self) -> bool:
        """Return whether the training is finished."""
        return self.ended or self.done >= self.steps or self.epoch >= self.epochs

    def next_record(self) -> int:
        """Return the index of the next record, and count it as trained on."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        record = int(torch.randperm(self.records, generator=generator)[self.place])
        self.done += 1
        self.place += 1
        if self.place == self.records:
            self._next_epoch()
        return record

    def validation_due(self, *, since: int) -> bool:
        """Return whether a validation was due after any record that was trained on since `done` was `since`.

        The published codes do not validate at the end, unless there was no validation before.
        """
        at_end = self.finished() and (self.best is None or self.published is None)
        interval = self.training.validate_every or self.records
        return at_end or self.done // interval > max(since, 0) // interval

    def record_validation(self, figure: float) -> bool:
        """Take the figure of a validation (lower is better) and return whether it is the best so far.

        Early stopping happens here: after `patience` records without a better figure.
        """
        better = self.best is None or figure < self.best
        if better:
            self.best, self.best_at = figure, self.done
        if self.done - self.best_at >= self.training.patience:
            if self.published == "epochs":
                if self.place:
                    self._next_epoch()
            else:
                self.ended = True
        return better

    def _next_epoch(self) -> None:
        self.epoch, self.place = self.epoch + 1, 0
