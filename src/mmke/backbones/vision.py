"""The image side of a backbone: from a picture to embeddings of its positions, divided before the alignment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Vision:
    """The image side of a backbone.

    Attributes:
        pixels: a picture to what the encoder reads, on the CPU; a tensor [3 height width] or anything else with `to`.
        encode: that, on the model's device, to the picture's features: a tensor or a dataclass of tensors.
        align: the features of several pictures to the embeddings of all their positions [positions hidden], in order.
        tower: name of the encoder's submodule.
        alignment: name of the projector or Q-Former.
    """

    pixels: Callable[[Image.Image], Any]
    encode: Callable[[Any], Any]
    align: Callable[[Sequence[Any]], Tensor]
    tower: str
    alignment: str


def stacked(project: Callable[[Tensor], Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return `Vision.align` for pictures of one size.

    Args:
        project: features [images patches width] to embeddings [images positions hidden].
    """
    return lambda features: project(torch.stack(list(features))).flatten(0, 1)
