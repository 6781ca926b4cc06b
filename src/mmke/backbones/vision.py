"""The image side of a backbone, in three steps: picture to pixels, pixels to features, features to embeddings.

The last step is the alignment (a projector or a Q-Former), which an editor may edit: what comes before it is computed
once.
"""

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
        tower: name of the submodule that encodes.
        alignment: name of the submodule that aligns.
        projection: name of the linear layer behind it, whose outputs the language model reads; None: the alignment's
            own linear layers do that.
    """

    pixels: Callable[[Image.Image], Any]
    encode: Callable[[Any], Any]
    align: Callable[[Sequence[Any]], Tensor]
    tower: str
    alignment: str
    projection: str | None = None


def stacked(project: Callable[[Tensor], Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return a function for `Vision.align`, where all pictures have features of one shape.

    Args:
        project: features [images patches width] to embeddings [images positions hidden].
    """
    return lambda features: project(torch.stack(list(features))).flatten(0, 1)
