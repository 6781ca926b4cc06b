"""ScopeEdit's write gate: how far an edit may write into what questions in text and about pictures share.

In: the keys of an edit's text and of its picture in the shared rows. Out: how much of the gradient is written there,
and the direction that is closed afterwards. Source: ScopeEdit, arXiv:2607.01978. The gate acts when an edit is written;
no question is ever routed.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

SLOPE, THRESHOLD = 10.0, 0.2
"""The cosine of the two keys at which the gate is half open, and how steeply it opens there."""


class Gate(NamedTuple):
    """How open the gate is, each between 0 and 1.

    Attributes:
        support: the shorter key's length as a share of the longer one's; 0 where the edit has no picture.
        both: for the edit as a whole.
        text: for matrices of the language model.
        image: for those of the picture's side.
    """

    support: Float[Tensor, ""]
    both: Float[Tensor, ""]
    text: Float[Tensor, ""]
    image: Float[Tensor, ""]


def gate(text: Float[Tensor, "shared"], image: Float[Tensor, "shared"]) -> Gate:
    """Return how open the gate is for an edit with these keys."""
    lengths = torch.stack([text.norm(), image.norm()])
    longest = lengths.max()
    support = lengths.min() / longest.where(longest != 0, 1.0)
    both = torch.sigmoid(SLOPE * (cosine_similarity(text, image, dim=0) - THRESHOLD)) * support
    # The side with the shorter key gets the larger share.
    shares = lengths.flip(0) / lengths.sum().where(longest != 0, 1.0)
    return Gate(support, both, both * shares[0], both * shares[1])


def direction(text: Float[Tensor, "shared"], image: Float[Tensor, "shared"], opened: Gate) -> Float[Tensor, "shared"]:
    """Return what is closed after a write into a matrix of the language model: of length 1, or 0 without a picture."""
    return normalize(opened.image * text + opened.text * image, dim=0)
