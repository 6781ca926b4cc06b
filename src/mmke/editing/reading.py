"""What a linear layer is fed while the unedited model reads a question, before any answer.

In: a question, and the site of the linear. Out: the linear's inputs at some positions; they are kept in a store. A
question is computed by itself, so that they have the same bits whatever else is asked.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.turns import turn
from mmke.editing import sites
from mmke.protocols import Backbone, Cut, Encoded, Store
from mmke.types import Ask, Query

At = Literal["last", "question", "question and picture"]
"""The prompt's last position; those of the question's own text; or these and those of its picture. What a template puts
around them is at neither of the last two."""


def inputs(backbone: Backbone, site: str, query: Query, at: At, *, store: Store) -> Float[Tensor, "positions into"]:
    """Return what the linear of a site is fed for a question; it lies below the last decoder layer.

    Raises:
        CannotAskError: the question or its picture cannot be read.
    """
    batch = backbone.encode([query], [""], Ask(decode="generate"))
    (name,) = sites.parameters(backbone, (site,))
    linear = backbone.module.get_submodule(name.removesuffix(".weight"))
    above = Cut("layer", sites.cut_below(backbone, (site,)).layer + 1)  # type: ignore[operator]

    def make() -> Tensor:
        fed: list[Tensor] = []
        with turn(backbone.module):
            hook = linear.register_forward_hook(lambda _module, args, _output: fed.append(args[0]))
            try:
                trunk = backbone.trunk(batch, above, store=store)
                if not fed:  # of a backbone that cannot be cut there
                    backbone.tail(trunk, {})
            finally:
                hook.remove()
        rows = fed[0].flatten(0, -2)
        return rows[sent(_positions(batch.encoded[0], at), rows.device, torch.long)]

    return store.get((backbone.state, "inputs", site, at, batch.digest), make)


def _positions(encoded: Encoded, at: At) -> list[int]:
    if at == "last":
        return [len(encoded.input_ids) - 1]
    pictures = [i for i, each in enumerate(encoded.input_ids) if each < 0]
    return [*(pictures if at == "question and picture" else ()), *range(*encoded.question)]
