"""Load a backbone by its name, with its weights or as a skeleton without them.

A skeleton has the modules on the meta device, the tokenizer and the image processing: enough to resolve edit sites and
to check records within seconds.
"""

from pathlib import Path

import torch

from mmke import registry
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.running.devices import check_dtype, resolve_device, resolve_dtype
from mmke.running.request import Request
from mmke.types import WeightSource


def load_backbone(
    name: str,
    *,
    dtype: str | None = None,
    device: str = "cpu",
    weights: str | Path | None = None,
    skeleton: bool = False,
    elsewhere: bool = False,
) -> Backbone:
    """Load a backbone by its name (`mmke ls backbones`).

    Args:
        name: registered name.
        dtype: the language model's precision; None: as the backbone was published for the device.
        device: "cpu", "cuda", "cuda:1", …
        weights: folder with its weights, or "random"; None: `hugging_cache` in the current folder, then the hub's.
        skeleton: everything but the weights, in order to look up names, shapes and edit sites within seconds.
        elsewhere: of a skeleton: the device is another machine's.

    Raises:
        UserError: unknown name, device or dtype; missing or wrong weights; too little memory.
    """
    source: WeightSource = "random" if weights == "random" else None if weights is None else Path(weights)
    make = registry.factory("backbones", name)
    precision, place = resolve_dtype(dtype), resolve_device(device, elsewhere=elsewhere)
    if not elsewhere:
        check_dtype(precision, place)
    try:
        backbone: Backbone = make(name=name, dtype=precision, device=place, weights=source, skeleton=skeleton)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{place} has too little memory to load {name}; end what else runs there (nvidia-smi), take "
            "--dtype float16, or another --device"
        ) from error
    return backbone


def load(request: Request, *, skeleton: bool = False) -> Backbone:
    """Load a request's backbone; a skeleton has everything but weights.

    Raises:
        UserError: as for `load_backbone`.
    """
    return load_backbone(
        request.backbone,
        dtype=request.dtype,
        device=request.device,
        weights=request.weights,
        skeleton=skeleton,
        elsewhere=request.elsewhere,
    )
