"""What the edited model is compared with: answers from before the edits, kept until the last comparison.

In: answers by case and by the model that gave them. Out: the same answers. All cases of a stream are asked before its
first edit, and the log-probabilities of their answers (positions × vocabulary × 4 bytes) would take more memory than
all the rest of a run: beyond `IN_MEMORY` bytes they lie on disk, in a file without a name.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmke.backbones.engine.disk import OnDisk
from mmke.running.scoring import Answers
from mmke.types import Ask

IN_MEMORY = 256 << 20
"""Bytes of log-probabilities that stay in memory."""


class _Kept(NamedTuple):
    """Answers without their log-probabilities, which of them have some, and these; None: they are on disk."""

    answers: Answers
    places: tuple[tuple[int, Ask], ...]
    logprobs: tuple[Tensor, ...] | None


@dataclass
class References:
    """Answers by case and by the model that gave them.

    Attributes:
        on_disk: takes the log-probabilities for which memory has no room.
        held: bytes of log-probabilities in memory.
    """

    on_disk: OnDisk
    held: int = 0
    _kept: dict[str, dict[str, _Kept]] = field(default_factory=dict)

    def keep(self, case_id: str, model: str, answers: Answers) -> None:
        """Keep what a model answered to a case; where the disk refuses, all stays in memory."""
        given = {place: answer.logprobs for place, answer in answers.items() if answer.logprobs is not None}
        logprobs = tuple(torch.from_numpy(np.require(each, requirements="W")) for each in given.values())
        size = sum(tensor.nbytes for tensor in logprobs)
        if self.held + size > IN_MEMORY:
            self.on_disk.put((case_id, model), logprobs)
        spilled = self.on_disk.holds((case_id, model))
        self.held += 0 if spilled else size
        bare = {place: replace(answer, logprobs=None) for place, answer in answers.items()}
        self._kept.setdefault(case_id, {})[model] = _Kept(bare, tuple(given), None if spilled else logprobs)

    def of(self, case_id: str) -> dict[str, Answers]:
        """Return what was answered to a case, by the model that answered.

        Raises:
            OSError: the disk has lost what was written to it.
        """
        return {model: self._whole((case_id, model), kept) for model, kept in self._kept[case_id].items()}

    def forget(self, case_id: str) -> None:
        """Forget the answers to a case that will not be scored again."""
        for kept in self._kept.pop(case_id, {}).values():
            self.held -= sum(tensor.nbytes for tensor in kept.logprobs or ())

    def _whole(self, key: tuple[str, str], kept: _Kept) -> Answers:
        logprobs = self.on_disk.find(key) if kept.logprobs is None else kept.logprobs
        if logprobs is None:
            raise OSError(f"what {key[1]} answered to {key[0]} cannot be read back from the disk")
        arrays = {place: tensor.numpy() for place, tensor in zip(kept.places, logprobs, strict=True)}
        return {place: replace(each, logprobs=arrays.get(place)) for place, each in kept.answers.items()}
