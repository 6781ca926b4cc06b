"""KE's learner: from a text that states the edit to how the gradient of each matrix is changed.

Source: De Cao et al., arXiv:2104.08164, as MMKE-Bench (arXiv:2502.19870) runs it. A bidirectional LSTM reads the text;
of its final states a small network for each matrix makes five vectors, and of these and the gradient the change

    ΔW = max_scale · sigmoid(g) · (∇W ⊙ A + B),   A = softmax(row A)ᵀ · column A,   B = softmax(row B)ᵀ · column B.

Parameters have the names that they have in the published checkpoints, but for what stands before a matrix's layer.

Deviation: a table of embeddings of its own can be left out. The text is then embedded by the backbone's, which is
neither trained nor saved.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mmke.editing.factors import Factors
from mmke.editors.ke.published import key
from mmke.protocols import LowRankUpdate

PADDING = 0
"""Row of the embeddings that is used as it is stored, and never trained."""


@dataclass(frozen=True)
class Widths:
    """How wide the learner is.

    Attributes:
        lstm: of the LSTM's state in each direction.
        condition: of what the text is condensed to.
        conditioner: of the hidden layer of each matrix's network.
    """

    lstm: int
    condition: int
    conditioner: int


class NormedLinear(nn.Module):
    """A linear layer whose weight is a direction `weight_v` and a length `weight_g` for each output."""

    def __init__(self, into: int, out: int) -> None:
        """Begin as the library's linear layer does."""
        super().__init__()
        begun = nn.Linear(into, out)
        self.weight_g = nn.Parameter(begun.weight.detach().norm(dim=1, keepdim=True))
        self.weight_v = nn.Parameter(begun.weight.detach())
        self.bias = nn.Parameter(begun.bias.detach())

    def forward(self, x: Float[Tensor, "into"]) -> Float[Tensor, "out"]:
        """Return the layer's output."""
        # The length and the norm of a row are one factor of its output: the weight itself is never made.
        lengths: Tensor = self.weight_g[:, 0] / torch.linalg.vector_norm(self.weight_v, dim=1)
        made: Tensor = functional.linear(x, self.weight_v)
        return made * lengths + self.bias


class Condition(nn.Module):
    """Reads the text: embeddings, a bidirectional LSTM, and a linear layer under tanh on its final states."""

    def __init__(self, table: Float[Tensor, "vocab hidden"], widths: Widths, *, own: bool) -> None:
        """Lay it out.

        Args:
            table: the backbone's input embeddings.
            widths: of the layers.
            own: whether to begin with a copy of the table, which is trained, or to read the table itself.
        """
        super().__init__()
        self.embedding = _copied(table) if own else None
        self.lstm = nn.LSTM(table.shape[1], widths.lstm, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * widths.lstm, widths.condition)

    def forward(self, ids: Int[Tensor, "tokens"], table: Float[Tensor, "vocab hidden"]) -> Float[Tensor, "condition"]:
        """Condense a text; `table` embeds it where there are no embeddings of its own."""
        embedded = functional.embedding(ids, table).float() if self.embedding is None else self.embedding(ids)
        _, (final, _) = self.lstm(embedded[None])
        return torch.tanh(self.linear(final.flatten()))


def _copied(table: Tensor) -> nn.Embedding:
    copy = table.detach().float().clone()
    made: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        copy, freeze=False, padding_idx=PADDING
    )
    return made


class Conditioner(nn.Module):
    """Makes the vectors of one matrix."""

    def __init__(self, into: int, out: int, widths: Widths) -> None:
        """Lay it out for a matrix [out into]."""
        super().__init__()
        self.conditioners = nn.Sequential(
            NormedLinear(widths.condition, widths.conditioner),
            nn.Tanh(),
            NormedLinear(widths.conditioner, 2 * (out + into) + 1),
        )

    def forward(self, condition: Float[Tensor, "condition"]) -> Float[Tensor, "vectors"]:
        """Return column A, row A, column B, row B and the gate, joined."""
        made: Tensor = self.conditioners(condition)
        return made


class Learner(nn.Module):
    """The text's reader, and a conditioner for each matrix."""

    def __init__(
        self, matrices: Mapping[str, Tensor], table: Float[Tensor, "vocab hidden"], widths: Widths, *, own: bool
    ) -> None:
        """Lay it out for matrices [out into] by name; for the rest see `Condition`."""
        super().__init__()
        self.keys = {name: key(name) for name in matrices}
        self.conditioners = nn.ModuleDict(
            {
                self.keys[name]: Conditioner(matrix.shape[1], matrix.shape[0], widths)
                for name, matrix in matrices.items()
            }
        )
        self.condition = Condition(table, widths, own=own)

    def forward(self, ids: Int[Tensor, "tokens"], table: Float[Tensor, "vocab hidden"]) -> dict[str, Tensor]:
        """Return the vectors of each matrix, by its name."""
        condition = self.condition(ids, table)
        return {name: self.conditioners[key](condition) for name, key in self.keys.items()}


class Network(nn.Module):
    """What is trained and saved: the learner, and what bounds the size of its changes."""

    alpha_lp: nn.Parameter
    margin_lp: Tensor

    def __init__(self, learner: Learner, *, margin: float) -> None:
        """Begin with a multiplier of one."""
        super().__init__()
        self.learner = learner
        self.alpha_lp = nn.Parameter(torch.ones(()))
        self.register_buffer("margin_lp", torch.tensor(margin))

    def penalty(self, size: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Return multiplier · (size − margin); a step that lowers it for the learner raises it for the multiplier."""
        # The value of the multiplier with its gradient turned round: the constraint's dual is climbed.
        ascending = 2 * self.alpha_lp.detach() - self.alpha_lp
        return ascending * (size - self.margin_lp)

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring a multiplier below zero back to zero."""
        self.alpha_lp.clamp_(min=0)

    @torch.no_grad()
    def tighten(self, *, factor: float, least: float) -> None:
        """Make the margin smaller."""
        self.margin_lp.mul_(factor).clamp_(min=least)


def shift(found: Factors, vectors: Float[Tensor, "vectors"], *, max_scale: float) -> LowRankUpdate:
    """Return the change of a matrix whose gradient has these factors; see the head of this file.

    A and B have rank one, so that the change has factors too: the gradient's under row and column A, and those of B.
    """
    (_, out), (_, into) = found.gradients.shape, found.inputs.shape
    column_a, row_a, column_b, row_b, gate = torch.split(vectors, [into, out, into, out, 1])
    scale = max_scale * gate.sigmoid()
    outputs = torch.cat([found.gradients * (scale * row_a.softmax(-1)), (scale * row_b.softmax(-1))[None]])
    return LowRankUpdate(torch.cat([found.inputs * column_a, column_b[None]]), outputs)


def size(change: LowRankUpdate) -> Float[Tensor, ""]:
    """Return the root of the mean square of a matrix's change."""
    # The squared norm of a sum of products is the sum of the products of their inner products.
    squares = ((change.outputs @ change.outputs.T) * (change.inputs @ change.inputs.T)).sum()
    mean = squares / (change.outputs.shape[1] * change.inputs.shape[1])
    return mean.clamp(min=torch.finfo(mean.dtype).tiny).sqrt()
