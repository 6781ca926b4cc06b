"""Load a backbone by its name, with its weights or as a skeleton without them.

A skeleton has the modules on the meta device, the tokenizer and the image processing: enough to resolve edit sites and
to check records within seconds.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mmke import registry
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.running.devices import check_dtype, resolve_devices, resolve_dtype
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
        device: "cpu", "cuda", "cuda:1", or several GPUs over which the model is laid: "cuda:0,cuda:1".
        weights: folder with its weights, or "random"; None: `hugging_cache` in the current folder, then the hub's.
        skeleton: everything but the weights, in order to look up names, shapes and edit sites within seconds.
        elsewhere: of a skeleton: the device is another machine's.

    Raises:
        UserError: unknown name, device or dtype; missing or wrong weights; too little memory.
    """
    source: WeightSource = "random" if weights == "random" else None if weights is None else Path(weights)
    make = registry.factory("backbones", name)
    precision, devices = resolve_dtype(dtype), resolve_devices(device, elsewhere=elsewhere)
    if not elsewhere:
        check_dtype(precision, *devices)
    if "," in device and not _takes_cards(make):
        raise UserError(f"--device {device}: {name} cannot be laid over several GPUs; name one, such as cuda:0")
    several = {"cards": devices} if len(devices) > 1 else {}
    try:
        backbone: Backbone = make(
            name=name, dtype=precision, device=devices[0], weights=source, skeleton=skeleton, **several
        )
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{device} has too little memory to load {name}; end what else runs there (nvidia-smi), take "
            "--dtype float16, or another --device"
        ) from error
    return backbone


def _takes_cards(make: Callable[..., Any]) -> bool:
    # The factory of another package is wrapped, and is the last of what the wrapper was given.
    made = make.args[-1] if isinstance(make, partial) else make
    return "cards" in inspect.signature(made).parameters


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


class Loaded:
    """The backbone that was loaded last; it is let go before another is loaded."""

    def __init__(self, *, skeleton: bool = False) -> None:
        """Begin with none; skeletons have everything but weights."""
        self._skeleton = skeleton
        self._wanted: tuple[Any, ...] | None = None
        self._backbone: Backbone | None = None

    def of(self, request: Request) -> Backbone:
        """Return a request's backbone."""
        wanted = (request.backbone, request.dtype, request.device, request.weights, request.elsewhere)
        if self._backbone is None or wanted != self._wanted:
            self._backbone = None
            self._backbone, self._wanted = load(request, skeleton=self._skeleton), wanted
        return self._backbone
