"""What trained editors are trained on, as published: a paraphrase and another picture answered, locality kept.

Source: MMKE-Bench, arXiv:2502.19870. The loss of a record is edit_weight · nll(paraphrase) + image_edit_weight ·
nll(same question on another picture) + locality_weight · KL(before ‖ after) over all positions of the unrelated
questions. No relation and no portability question is asked while training.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mmke.backbones.engine.sending import sent
from mmke.editing.losses import answer_loss, locality_divergence
from mmke.errors import UserError
from mmke.protocols import Backbone, Batch
from mmke.types import Ask, EditCase, Switches

ASKED = ("rephrase", "image_rephrase", "t_loc", "i_loc")


class LossParts(NamedTuple):
    """The parts of a record's loss.

    Attributes:
        edit: negative log-likelihood of the answer to the paraphrase.
        image_edit: the same for another picture.
        text: divergence from the unedited model on the unrelated question in text.
        image: the same on the unrelated question about a picture.
    """

    edit: Tensor
    image_edit: Tensor
    text: Tensor
    image: Tensor


class TrainingBatches(NamedTuple):
    """A record's training probes in two batches: those that the edit should change, and unrelated ones."""

    in_scope: Batch
    unrelated: Batch

    def parts(self, in_scope: Tensor, before: Tensor, after: Tensor) -> LossParts:
        """Return the parts of the loss.

        Args:
            in_scope: logits of all rows of the first batch from the edited model, with gradient.
            before: logits of all rows of the second batch from the unedited model.
            after: the same from the edited model, with gradient.
        """
        edit, image_edit = torch.split(in_scope, _sizes(self.in_scope))
        targets = [sent(encoded.target_ids, in_scope.device) for encoded in self.in_scope.encoded]
        old, new = torch.split(before, _sizes(self.unrelated)), torch.split(after, _sizes(self.unrelated))
        return LossParts(
            answer_loss(edit, targets[0]),
            answer_loss(image_edit, targets[1]),
            locality_divergence(old[0], new[0]),
            locality_divergence(old[1], new[1]),
        )


def _sizes(batch: Batch) -> list[int]:
    return [len(encoded.rows) for encoded in batch.encoded]


def ask_training(backbone: Backbone, case: EditCase, switches: Switches) -> TrainingBatches:
    """Encode a record's training probes.

    Raises:
        UserError: the record lacks one.
    """
    by_kind = {probe.kind.name: probe for probe in case.probes}
    lacking = missing_probes(case)
    if lacking:
        raise UserError(f"training record {case.id} has no {' and no '.join(lacking)}")
    halves = [[by_kind[kind] for kind in kinds] for kinds in (ASKED[:2], ASKED[2:])]
    ways: tuple[Literal["answer", "all"], ...] = ("answer", "all")
    return TrainingBatches(
        *(
            backbone.encode(
                [probe.query for probe in probes],
                [probe.target for probe in probes],
                Ask(labels=switches.labels, positions=positions),
            )
            for probes, positions in zip(halves, ways, strict=True)
        )
    )


def missing_probes(case: EditCase) -> Sequence[str]:
    """Return the names of the kinds of probe that training needs and a record lacks."""
    has = {probe.kind.name for probe in case.probes}
    return [kind for kind in ASKED if kind not in has]
