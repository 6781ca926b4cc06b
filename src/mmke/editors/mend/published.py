"""The names of MEND's tensors in checkpoints of the published code, and ours.

There: `edit_lrs`, and for each shape `mend.(4096, 11008).` with running statistics (`u` of the inputs, `v` of the
gradients: mean, std, s; one count `k` for both) and `mlp.layers.0.` with `u`, `v`, `bias`, `mode_shift.weight` and
`mode_scale.weight`.
"""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from mmke.errors import UserError

NETWORK = re.compile(r"mend\.(?P<shape>\(\d+, \d+\))\.(?P<rest>.+)")
SIDES = {"u": "inputs", "v": "gradients"}
STATISTICS = {"mean": "mean", "std": "deviation", "s": "squares"}
LAYER = {"u": "u", "v": "v", "bias": "bias", "mode_shift.weight": "shift", "mode_scale.weight": "scale"}


def translate(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published checkpoint's tensors under our names.

    Raises:
        UserError: a tensor is none of MEND's.
    """
    return {ours: tensor for name, tensor in published.items() for ours, tensor in _translated(name, tensor)}


def _translated(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    if name == "edit_lrs":
        yield "steps", tensor.float()
        return
    found = NETWORK.fullmatch(name)
    rest = found["rest"] if found else ""
    layer = re.fullmatch(r"mlp\.layers\.(\d+)\.(.+)", rest)
    statistic = re.fullmatch(r"([uv])_(mean|std|s)", rest)
    if found is None or not (rest == "k" or statistic or (layer and layer[2] in LAYER)):
        raise UserError(f"{name!r} is no tensor of MEND's; is it a checkpoint of another editor?")
    begin = f"mend.{found['shape']}"
    if rest == "k":
        yield from ((f"{begin}.{side}.count", tensor.float().reshape(1)) for side in SIDES.values())
    elif statistic:
        yield f"{begin}.{SIDES[statistic[1]]}.{STATISTICS[statistic[2]]}", tensor.float()
    elif layer:
        yield f"{begin}.layers.{layer[1]}.{LAYER[layer[2]]}", tensor.float()
