"""Load weights into a model that was built without them: from a checkpoint, at random, or not at all.

In: a `LoadRequest`, a module on the meta device, a function that finds its checkpoint. Out: the module with its
weights, and its tokenizer. A model without weights is called a skeleton. It has the names of its parameters, edit sites
and its prompt, and the headers of its checkpoint were checked, so that a user's mistakes are found before 14 GB are
read.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel

from mmke.backbones.engine.cards import Names, Place, lay, places
from mmke.backbones.reason import reason
from mmke.backbones.weights.checkpoint import Checkpoint
from mmke.backbones.weights.fitting import SPARE_ROWS
from mmke.backbones.weights.memory import free_memory
from mmke.backbones.weights.stand_in import StandInTokenizer
from mmke.errors import UserError
from mmke.types import WeightSource

log = logging.getLogger(__name__)

RANDOM: Literal["random"] = "random"
"""`--weights random`: random weights and a stand-in tokenizer, to measure time and memory."""

RANDOM_REVISION = "random, seed 0"
"""The `weights_revision` of random weights."""

WORKSPACE = 3 << 30
"""Bytes that an edit needs on the GPU beside the weights: activations, the optimizer's state, PyTorch's own memory."""

SPREAD = 0.02
"""Standard deviation of random weights."""


@dataclass(frozen=True)
class LoadRequest:
    """Which weights a backbone is to be loaded with, and where.

    Attributes:
        name: of the backbone, for messages.
        weights: a folder, "random", or None for the usual places.
        dtype: of each tensor by its name in the module.
        device: for the weights; the first one where there are several.
        skeleton: whether to leave the weights out.
        cards: all devices over which the model is laid; empty: `device` alone.
    """

    name: str
    weights: WeightSource
    dtype: Callable[[str], torch.dtype]
    device: torch.device
    skeleton: bool
    cards: Sequence[torch.device] = ()

    @property
    def laid_over(self) -> Sequence[torch.device]:
        """Return all devices."""
        return self.cards or (self.device,)

    def places(self, module: nn.Module, names: Names) -> Place:
        """Return on which device each tensor is to lie; the module's tensors have their precisions.

        Raises:
            UserError: there are more cards than decoder layers.
        """
        return places(module, names, self.laid_over)


@dataclass(frozen=True)
class Loaded:
    """A model with its weights: the module in evaluation mode, its tokenizer, and what identifies the weights."""

    module: Any
    tokenizer: Any
    revision: str


def build_skeleton(build: Callable[[], Any]) -> Any:
    """Build a module without weights: parameters on the meta device and tied as usual, buffers with their values."""
    with init_empty_weights():
        module = build()
    for part in module.modules():
        # `init_empty_weights` replaces each parameter when it is registered, which unties tied ones.
        if isinstance(part, PreTrainedModel):
            part.tie_weights()
    return module


def load_weights(
    request: LoadRequest,
    module: nn.Module,
    locate: Callable[[Path | None], Checkpoint],
    *,
    read: Callable[[Path], Any],
    vocabulary: int,
    names: Names,
) -> Loaded:
    """Load weights into a module that was built without them, and read its tokenizer.

    Args:
        request: what is to be loaded.
        module: its parameters are on the meta device.
        locate: finds the checkpoint, from the user's `--weights`.
        read: reads the tokenizer from a folder.
        vocabulary: number of rows of the embedding.
        names: of the module's decoder and head.

    Raises:
        UserError: no weights, wrong ones, another model's tokenizer, or too little memory.
    """
    module.requires_grad_(requires_grad=False).eval()
    set_precision(module, request.dtype)
    place = request.places(module, names)
    if request.weights == RANDOM:
        check_memory(request, module, place)
        if not request.skeleton:
            fill_at_random(module, request, place)
            lay(module, names, request.laid_over)
        return Loaded(module, StandInTokenizer(vocabulary), RANDOM_REVISION)
    checkpoint = locate(request.weights)
    checkpoint.check(module)
    check_memory(request, module, place)
    tokenizer = read(checkpoint.tokenizer)
    check_vocabulary(tokenizer, checkpoint.tokenizer, vocabulary)
    if not request.skeleton:
        checkpoint.fill(module, dtype=request.dtype, device=place)
        lay(module, names, request.laid_over)
        check_numbers(request.name, module)
        warn_of_zeros(request.name, module)
    return Loaded(module, tokenizer, checkpoint.revision)


def check_none_named(name: str, weights: WeightSource) -> None:
    """Refuse weights for a model that brings its own.

    Raises:
        UserError: some were named.
    """
    if weights is not None:
        raise UserError(f"--weights {weights}: {name} comes with its weights; leave it out")


def warn_of_zeros(name: str, module: nn.Module) -> None:
    """Warn of matrices that are all zeros: files that were made in their full size and never filled look whole."""
    matrices = [(each, tensor) for each, tensor in module.named_parameters() if tensor.ndim > 1 and len(tensor)]
    # Nearly always the first row has a value that is not zero, and the rest need not be read.
    blank = [each for each, tensor in matrices if not tensor[0].any() and not tensor.any()]
    if blank:
        log.warning(
            "%s: %d of its matrices hold nothing but zeros, the first %s; if they should not, its download was never "
            "finished: download or copy it again",
            name,
            len(blank),
            blank[0],
        )


def check_numbers(name: str, module: nn.Module) -> None:
    """Check that every weight is finite: with one NaN or infinity all answers are void, without any error.

    Raises:
        UserError: a weight is NaN or infinite; the message names its tensor.
    """
    for each, tensor in module.named_parameters():
        if tensor.numel() and not all(bound.isfinite() for bound in tensor.detach().aminmax()):
            half = tensor.dtype != torch.float32
            raise UserError(
                f"{name}: {each} holds what is no number; its weights are damaged: copy them anew"
                + (f", or too large for {tensor.dtype}: take --dtype float32" if half else "")
            )


def set_precision(module: nn.Module, dtype: Callable[[str], torch.dtype]) -> None:
    """Convert every parameter to the precision of its name, also on the meta device; tied ones stay tied."""
    for name, tensor in module.named_parameters():
        tensor.data = tensor.data.to(dtype(name))


def half_on_gpu(dtype: torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return the language model's precision: what the user named, else half precision on a GPU, as published."""
    if dtype is not None:
        return dtype
    return torch.float16 if device.type == "cuda" else torch.float32


def read_tokenizer(folder: Path) -> Any:
    """Read a tokenizer from its folder with the library's own class.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no tokenizer that can be read ({reason(error)}); copy its files there"
        ) from error


def check_vocabulary(tokenizer: Any, folder: Path, vocabulary: int) -> None:
    """Check that a tokenizer has as many tokens as the model's embedding has rows, or a few fewer.

    Raises:
        UserError: it has more, or far fewer.
    """
    words = len(tokenizer)
    if not 0 <= vocabulary - words <= SPARE_ROWS:
        raise UserError(
            f"{folder}: its tokenizer has {words:,} words and the model {vocabulary:,}, so that it is another model's; "
            "copy the model's own there"
        )


def check_memory(request: LoadRequest, module: nn.Module, place: Place | None = None) -> None:
    """Compare the memory that a model needs with what is free; for the processor only where weights will be read.

    Args:
        request: what is to be loaded.
        module: its tensors may be on the meta device.
        place: on which device each tensor is to lie; None: all on the request's.

    Raises:
        UserError: too little is free.
    """
    needed: dict[torch.device, int] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        there = request.device if place is None else place(name)
        needed[there] = needed.get(there, 0) + tensor.numel() * request.dtype(name).itemsize
    for device, weights in needed.items():
        on_gpu = device.type == "cuda"
        free = free_memory(device) if on_gpu or not request.skeleton else None
        if free is not None and weights + (WORKSPACE if on_gpu else 0) > free:
            part = f" of its {sum(needed.values()) / 2**30:.1f} GiB" if len(needed) > 1 else ""
            raise UserError(_too_little(request.name, device, weights, free, part))


def _too_little(name: str, device: torch.device, weights: int, free: int, part: str) -> str:
    if device.type != "cuda":
        # Otherwise the system would kill the process without a message.
        return (
            f"{name} takes {weights / 2**30:.1f} GiB of weights, and this machine has {free / 2**30:.1f} GiB "
            "of memory free; end what else runs there, take --dtype bfloat16 and not float32, or a GPU: --device cuda"
        )
    return (
        f"{name} takes {weights / 2**30:.1f} GiB{part} of weights and about {WORKSPACE / 2**30:.0f} GiB to work, "
        f"and {device} has {free / 2**30:.1f} GiB free; end what else runs there (nvidia-smi), choose "
        "another --device or several (--device cuda:0,cuda:1), or with --dtype float32 take float16"
    )


def fill_at_random(module: nn.Module, request: LoadRequest, place: Place | None = None) -> None:
    """Fill a module with random weights: norms one, biases zero, the rest normally distributed.

    All are drawn on the request's device, so that several cards get the values that one card gets.
    """
    generator = torch.Generator(request.device).manual_seed(0)
    drawn: dict[int, nn.Parameter] = {}
    for name, tensor in list(module.named_parameters(remove_duplicate=False)):
        if id(tensor) not in drawn:
            made = torch.empty(tensor.shape, dtype=request.dtype(name), device=request.device)
            if tensor.ndim == 1:
                made.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                made.normal_(std=SPREAD, generator=generator)
            there = made if place is None else made.to(place(name))
            drawn[id(tensor)] = nn.Parameter(there, requires_grad=False)
        owner, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(owner), attribute, drawn[id(tensor)])
    if place is None:
        module.to(request.device)
