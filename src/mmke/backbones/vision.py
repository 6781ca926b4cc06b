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
        pixels: turns a picture into the encoder's input, on the CPU: a tensor [3 height width] or anything with `to`.
        encode: turns that, on the model's device, into the picture's features: a tensor or a dataclass of tensors.
        align: turns the features of several pictures into the embeddings of all their positions [positions hidden].
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
