"""What one edit says of each matrix: the gradient of B, and the keys whose directions are closed after the write.

In: an edit, the weights so far, the drawn rows A. Out: a `Reading` for each matrix that the edit passes through. Image
and question positions are those of the encoded query.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import layer_norm, normalize

from mmke.backbones.engine.sending import sent
from mmke.editing.factors import Factors, at_rows
from mmke.editors.m_ore.gate import direction, gate
from mmke.protocols import Encoded, LowRankUpdate


class Reading(NamedTuple):
    """What an edit, or a batch, says of a matrix.

    Attributes:
        gradient: of B; the gate has already acted on the shared rows, which are the first ones.
        score: the length of the whole gradient, before the gate; of a batch the mean over its edits.
        keys: what is closed after a write, one after the other; each over all rows of A.
    """

    gradient: Float[Tensor, "out rank"]
    score: Float[Tensor, ""]
    keys: Sequence[Float[Tensor, "rank"]]


def met(fed: Float[Tensor, "rows into"], update: LowRankUpdate) -> Float[Tensor, "rows rank"]:
    """Return A x of each position, behind the LayerNorm where there is one."""
    rows = fed @ update.inputs.T
    return layer_norm(rows, rows.shape[-1:]) if update.normalised else rows


def key(
    rows: Float[Tensor, "positions rank"], encoded: Encoded, *, everywhere: bool, shared: int, unit: bool
) -> Float[Tensor, "rank"]:
    """Return the mean of A x over the positions that predict the target, or over all; zero in the shared rows."""
    among = rows if everywhere else at_rows(rows, encoded)[sent(encoded.answer_rows, rows.device)]
    mean = among.mean(0)
    mean[:shared] = 0
    return normalize(mean, dim=0) if unit else mean


def gated(
    gradient: Float[Tensor, "out rank"], fed: Float[Tensor, "positions into"], inputs: Tensor, encoded: Encoded
) -> tuple[Float[Tensor, "out rank"], Float[Tensor, "rank"]]:
    """Return the gradient behind the write gate, and the key of the shared rows.

    Args:
        gradient: of B.
        fed: what the matrix is fed at every position of the query.
        inputs: the shared rows of A.
        encoded: the query.
    """
    text, image = (inputs @ mean for mean in sides(fed, encoded))
    opened, shared = gate(text, image), len(inputs)
    written = torch.cat([gradient[:, :shared] * opened.text, gradient[:, shared:]], dim=1)
    return written, torch.cat([direction(text, image, opened), gradient.new_zeros(gradient.shape[1] - shared)])


def sides(
    fed: Float[Tensor, "positions into"], encoded: Encoded
) -> tuple[Float[Tensor, "into"], Float[Tensor, "into"]]:
    """Return the mean input over the positions of question and target, and over those of the picture, 0 without one."""
    ids = encoded.input_ids
    words = [*range(*encoded.question), *range(len(ids) - len(encoded.target_ids), len(ids))]
    picture = [position for position, token in enumerate(ids) if token < 0]
    text = fed[sent(words, fed.device)].mean(0)
    return text, fed[sent(picture, fed.device)].mean(0) if picture else torch.zeros_like(text)


def gradient(found: Factors, rows: Float[Tensor, "positions rank"], scale: float) -> Float[Tensor, "out rank"]:
    """Return the gradient of B for one matrix."""
    return scale * (found.gradients.T @ rows)


def together(some: Sequence[Mapping[str, Reading]]) -> dict[str, Reading]:
    """Return the readings of a batch: the mean of the gradients, and all keys.

    An edit that does not pass through a matrix has no gradient there; a matrix that none passes through is left out.
    """
    joint: dict[str, Reading] = {}
    for name in dict.fromkeys(name for each in some for name in each):
        own = [each[name] for each in some if name in each]
        mean = sum((each.gradient for each in own[1:]), own[0].gradient) / len(some)
        score = sum((each.score for each in own[1:]), own[0].score) / len(some)
        joint[name] = Reading(mean, score, [key for each in own for key in each.keys])
    return joint
