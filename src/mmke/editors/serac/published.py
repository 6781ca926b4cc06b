"""The names of SERAC's tensors in checkpoints of the published code, and ours.

There: `classifier.` and the encoder's names, `scale`, `replacement.` and the names of the replaced language model (of
its last layer, or all), and `language_projection.`, which was never trained and is drawn anew for each edit.
"""

from collections.abc import Mapping

from torch import Tensor

from mmke.editors.serac.networks import key_of
from mmke.editors.serac.replacement import LANGUAGE
from mmke.errors import UserError

UNUSED = ("language_projection.weight", "language_projection.bias", "replacement.lm_head.weight")
"""The projection is random; where a whole model is trained its head is tied to its embeddings, which are there too."""
TABLES = (".position_ids", ".inv_freq")
"""Constants that older versions of the library saved."""


def translate(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a published checkpoint's tensors under our names.

    Raises:
        UserError: a tensor is none of SERAC's.
    """
    kept = {name: tensor for name, tensor in published.items() if name not in UNUSED and not name.endswith(TABLES)}
    return {_translated(name): _whole(name, tensor) for name, tensor in kept.items()}


def _translated(name: str) -> str:
    owner, _, rest = name.partition(".")
    if name == "scale" or (owner == "classifier" and rest):
        return f"scope.{name}"
    if owner == "replacement" and rest:
        return f"counterfactual.copies.{key_of(f'{LANGUAGE}.{rest}')}"
    raise UserError(f"{name!r} is no tensor of SERAC's; is it a checkpoint of another editor?")


def _whole(name: str, tensor: Tensor) -> Tensor:
    return tensor.float().reshape(1) if name == "scale" else tensor.float()
