"""What trained editors are trained on, as published: a paraphrase and another picture answered, locality kept.

Source: MMKE-Bench, arXiv:2502.19870. The loss of a record is edit_weight · nll(paraphrase) + image_edit_weight ·
nll(same question on another picture) + locality_weight · KL(before ‖ after) over all positions of the unrelated
questions. No relation and no portability question is asked while training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmke.editors.losses import answer_loss, locality_divergence
from mmke.protocols import Backbone, Batch
from mmke.types import Ask, EditCase, ProbeKind, Switches, UserError

ASKED: tuple[ProbeKind, ...] = ("rephrase", "image_rephrase", "t_loc", "i_loc")


class Parts(NamedTuple):
    """The losses of a record: of the paraphrase, of another picture, and the divergences on text and on a picture."""

    edit: Tensor
    image_edit: Tensor
    text: Tensor
    image: Tensor


@dataclass(frozen=True, eq=False)
class Asked:
    """A record's training probes as a batch; the logits of their rows come query by query."""

    batch: Batch

    def parts(self, before: Tensor, after: Tensor) -> Parts:
        """Return the losses.

        Args:
            before: logits of all rows from the unedited model.
            after: those from the edited one, with gradient.
        """
        sizes = [len(encoded.rows) for encoded in self.batch.encoded]
        old, new = torch.split(before, sizes), torch.split(after, sizes)
        targets = [torch.tensor(encoded.target_ids, device=after.device) for encoded in self.batch.encoded]
        return Parts(
            answer_loss(new[0], targets[0]),
            answer_loss(new[1], targets[1]),
            locality_divergence(old[2], new[2]),
            locality_divergence(old[3], new[3]),
        )


def ask_training(backbone: Backbone, case: EditCase, switches: Switches) -> Asked:
    """Encode a record's training probes.

    Raises:
        UserError: the record lacks one.
    """
    by_kind = {probe.kind: probe for probe in case.probes}
    lacking = missing_probes(case)
    if lacking:
        raise UserError(f"training record {case.id} has no {' and no '.join(lacking)}")
    probes = [by_kind[kind] for kind in ASKED]
    asks = [Ask(labels=switches.labels, positions="all" if kind.endswith("_loc") else "answer") for kind in ASKED]
    return Asked(backbone.encode([probe.query for probe in probes], [probe.target for probe in probes], asks))


def missing_probes(case: EditCase) -> Sequence[ProbeKind]:
    """Return the kinds of probe that training needs and a record lacks."""
    has = {probe.kind for probe in case.probes}
    return [kind for kind in ASKED if kind not in has]
