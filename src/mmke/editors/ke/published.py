"""The names of KE's tensors in checkpoints of the published code, and ours.

There: `alpha_lp`, `margin_lp`, `learner.condition.` with `embedding`, `lstm` and `linear` (each perhaps wrapped, so
that only the last word counts), and for each matrix `learner.conditioners.<name>_conditioner.conditioners.` with the
layers 0 and 2. A matrix is known by what stands from `layers_` on: what is before it differs from program to program.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from mmke.errors import UserError

CONDITIONER = re.compile(
    r"learner\.conditioners\.(?:.*_)?(layers_\d+_\w+_conditioner\.conditioners\.[02]\.(?:weight_g|weight_v|bias))"
)
READER = re.compile(r"learner\.condition\.(embedding|lstm|linear)\.(?:.*\.)?(\w+)")
BOUND = ("alpha_lp", "margin_lp")


def key(name: str) -> str:
    """Return what a matrix's conditioner is called: from the layer on, with underscores for dots."""
    return f"{name[max(name.rfind('layers.'), 0) :].replace('.', '_')}_conditioner"


def translate(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published checkpoint's tensors under our names, in float32.

    Raises:
        UserError: a tensor is none of KE's, or two are the same one's.
    """
    translated: dict[str, Tensor] = {}
    for name, tensor in published.items():
        ours = _name(name)
        if ours in translated:
            raise UserError(f"{name!r} is a second {ours!r}; the checkpoint is not the published code's")
        translated[ours] = tensor.float().reshape(()) if ours in BOUND else tensor.float()
    return translated


def _name(name: str) -> str:
    if name in BOUND:
        return name
    if found := CONDITIONER.fullmatch(name):
        return f"learner.conditioners.{found[1]}"
    if found := READER.fullmatch(name):
        return f"learner.condition.{found[1]}.{found[2]}"
    raise UserError(f"{name!r} is no tensor of KE's; is it a checkpoint of another editor?")
