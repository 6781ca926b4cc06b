"""Write low-rank edits as an adapter of the PEFT library: `adapter_config.json` and `adapter_model.safetensors`.

In: low-rank updates by the names of the matrices that they are added to. Out: a folder that the library's
`PeftModel.from_pretrained` loads on the same model. The library's configuration class writes the settings; the names of
the tensors are the library's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file
from torch import Tensor

from mmke.errors import UserError
from mmke.protocols import Backbone, LowRankUpdate, Weights

if TYPE_CHECKING:
    from peft import LoraConfig

TENSORS = "adapter_model.safetensors"
PREFIX, INTO, OUT = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""Around the name of a linear: what the library calls its two matrices, A [rank in_features] and B [out_features rank].
"""


def write_adapter(
    folder: Path, backbone: Backbone, weights: Weights, *, scale: float = 1.0, base: str | None = None
) -> None:
    """Write low-rank updates as an adapter, in the precision that they have.

    Args:
        folder: is made, if it is not there.
        backbone: whose matrices they are added to.
        weights: by parameter name.
        scale: alpha / rank of the adapter: how much of the product is in the scale, and not in B.
        base: how the library finds the model; None: by the backbone's name.

    Raises:
        UserError: nothing is edited, or an edited tensor is a full one.
    """
    updates = {name: edited for name, edited in weights.items() if isinstance(edited, LowRankUpdate)}
    full = sorted(weights.keys() - updates.keys())
    if full or not updates:
        what = f"{full[0]!r} is a full tensor" if full else "nothing is edited"
        raise UserError(f"{backbone.name}: {what}, so there is no adapter to write; only low-rank edits are adapters")
    tensors: dict[str, Tensor] = {}
    for name, update in updates.items():
        linear = PREFIX + name.removesuffix(".weight")
        tensors |= {linear + INTO: update.inputs, linear + OUT: update.outputs.T / scale}
    folder.mkdir(parents=True, exist_ok=True)
    _configuration(base or backbone.name, updates, scale).save_pretrained(str(folder))
    whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    save_file(whole, folder / TENSORS, metadata={"format": "pt"})


def _configuration(base: str, updates: Mapping[str, LowRankUpdate], scale: float) -> "LoraConfig":
    from peft import LoraConfig

    ranks = {name.removesuffix(".weight"): len(update.inputs) for name, update in updates.items()}
    common = max(ranks.values())
    # A pattern is a regular expression that the end of a module's name is matched with.
    differing = {name.replace(".", r"\."): rank for name, rank in ranks.items() if rank != common}
    return LoraConfig(
        base_model_name_or_path=base,
        inference_mode=True,
        r=common,
        lora_alpha=_whole(scale * common),
        lora_dropout=0.0,
        target_modules=sorted(ranks),
        rank_pattern=differing,
        alpha_pattern={name: _whole(scale * rank) for name, rank in differing.items()},
    )


def _whole(number: float) -> Any:
    """Return a number as an integer where it is one: the library's files have integers."""
    return int(number) if number == int(number) else number
