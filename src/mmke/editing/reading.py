"""What a linear layer is fed while the unedited model reads a question, before any answer.

In: a question, and the site of the linear. Out: the linear's inputs at some positions; they are kept in a store. A
question is computed by itself, so that they have the same bits whatever else is asked; `last_inputs` is for a fixed
list of questions.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.turns import turn
from mmke.editing import sites
from mmke.protocols import Backbone, Batch, Cut, Encoded, Store
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

    def make() -> Tensor:
        (rows,) = _fed(backbone, site, batch, store)
        return rows[sent(_positions(batch.encoded[0], at), rows.device, torch.long)]

    return store.get((backbone.state, "inputs", site, at, batch.digest), make)


def last_inputs(backbone: Backbone, site: str, queries: Sequence[Query], *, store: Store) -> Float[Tensor, "n into"]:
    """Return the same at the last position of several questions, which are computed together and not kept.

    Faster than one by one; the bits may depend on which questions they are.

    Raises:
        CannotAskError: a question or its picture cannot be read.
    """
    batch = backbone.encode(queries, [""] * len(queries), Ask(decode="generate"))
    fed = _fed(backbone, site, batch, store)
    if not batch.packs:  # of a backbone that computes query by query
        return torch.stack([rows[-1] for rows in fed])
    found = {
        member: row
        for rows, pack in zip(fed, batch.packs, strict=True)
        for member, row in zip(pack.members, rows[pack.ends.to(rows.device)], strict=True)
    }
    return torch.stack([found[member] for member in range(len(queries))])


def _fed(backbone: Backbone, site: str, batch: Batch, store: Store) -> list[Float[Tensor, "positions into"]]:
    """Return what the linear is fed at all positions of each pack, or of each query where there are none."""
    (name,) = sites.parameters(backbone, (site,))
    linear = backbone.module.get_submodule(name.removesuffix(".weight"))
    above = Cut("layer", sites.cut_below(backbone, (site,)).layer + 1)  # type: ignore[operator]
    fed: list[Tensor] = []
    with turn(backbone.module):
        hook = linear.register_forward_hook(lambda _module, args, _output: fed.append(args[0]))
        try:
            trunk = backbone.trunk(batch, above, store=store)
            if not fed:  # of a backbone that cannot be cut there
                backbone.tail(trunk, {})
        finally:
            hook.remove()
    return [each.flatten(0, -2) for each in fed]


def _positions(encoded: Encoded, at: At) -> list[int]:
    if at == "last":
        return [len(encoded.input_ids) - 1]
    pictures = [i for i, each in enumerate(encoded.input_ids) if each < 0]
    return [*(pictures if at == "question and picture" else ()), *range(*encoded.question)]
