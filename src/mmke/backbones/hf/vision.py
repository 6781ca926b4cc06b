"""The image side of any model, divided before its alignment without knowing its code.

The model's own `get_image_features` is run once a picture, and what the alignment is fed is kept. From there on it is
run again with everything before the alignment stood in for: those parts hand out zeros of the shapes that they handed
out before, which take no memory and no time, the alignment is fed what was kept, and whatever the model's code does
behind it (newlines between tiles, reordering, splitting) it does itself.
"""

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from mmke.backbones.hf.processor import PICTURES, PROCESSOR, TEXT_KEYS, process, unstated
from mmke.backbones.hf.prompt import Template
from mmke.backbones.hf.rendering import QUESTION
from mmke.backbones.hf.sites import Sites, below
from mmke.backbones.vision import Vision
from mmke.errors import CannotAskError, UserError

Answer = Callable[[nn.Module], Any]
"""What a part that is stood in for does at one call."""


@dataclass(frozen=True)
class Pixels:
    """What `get_image_features` takes of one picture, and how many positions the prompt has for it."""

    inputs: Mapping[str, Any]
    positions: int

    def to(self, device: torch.device) -> "Pixels":
        """Return the same on a device."""
        return replace(self, inputs=pytree.tree_map_only(Tensor, lambda tensor: tensor.to(device), dict(self.inputs)))


@dataclass(frozen=True)
class Shape:
    """A tensor without its values."""

    size: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Features:
    """One picture before the alignment.

    Attributes:
        inputs: what `get_image_features` takes.
        fed: arguments of each call of the alignment.
        stood_in: for each part before it, by name, what it handed out at each call, as shapes.
    """

    inputs: Mapping[str, Any]
    fed: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]
    stood_in: Mapping[str, tuple[Any, ...]]


def divide(model: Any, sites: Sites, template: Template) -> Vision:
    """Return the image side of a model; the template gives a prompt with one picture."""
    owner = model.get_submodule(sites.owner)
    alignment = sites.alignment.removeprefix(below(sites.owner, "")) if sites.owner else sites.alignment
    accepted = set(inspect.signature(owner.get_image_features).parameters) - set(TEXT_KEYS)
    dtype = next(model.get_submodule(sites.tower).parameters()).dtype

    def pixels(picture: Image.Image) -> Pixels:
        made = process(template.processor, template.render(QUESTION, pictured=True), picture)
        positions = int((made["input_ids"] == template.image_token).sum())
        return Pixels({name: _cast(value, dtype) for name, value in made.items() if name in accepted}, positions)

    def encode(pixels: Pixels) -> Features:
        features, embeddings = _recorded(owner, alignment, pixels.inputs)
        if embeddings != pixels.positions:
            raise CannotAskError(
                f"the model makes {embeddings} embeddings of a picture, and its processor {pixels.positions} positions "
                f"for them{unstated(template.processor) or f'; {PROCESSOR} and {PICTURES} have to be of this model'}"
            )
        return features

    def align(features: Sequence[Features]) -> Tensor:
        return torch.cat([_positions(_replayed(owner, alignment, each)) for each in features])

    return Vision(pixels=pixels, encode=encode, align=align, tower=sites.tower, alignment=sites.alignment)


def _recorded(owner: Any, alignment: str, inputs: Mapping[str, Any]) -> tuple[Features, int]:
    """Return what is kept of a picture, and how many embeddings it becomes."""
    fed: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    handed: dict[str, list[Any]] = {}

    def feed(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        fed.append((args, kwargs))

    def watch(name: str) -> Callable[..., None]:
        def hand(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
            if not fed:  # what is called later may depend on the alignment
                handed.setdefault(name, []).append(pytree.tree_map_only(Tensor, _shape, output))

        return hand

    with ExitStack() as hooks:
        hooks.callback(owner.get_submodule(alignment).register_forward_pre_hook(feed, with_kwargs=True).remove)
        for name in _beside(owner, alignment):
            hooks.callback(owner.get_submodule(name).register_forward_hook(watch(name)).remove)
        made = owner.get_image_features(**inputs)
    if not fed or not handed:
        raise UserError(
            f"{type(owner).__name__} does not encode a picture first and align it with {alignment!r} then; "
            "mmke does not know how to divide it"
        )
    kept = Features(inputs, tuple(fed), {name: tuple(outputs) for name, outputs in handed.items()})
    return kept, len(_positions(made))


def _replayed(owner: Any, alignment: str, features: Features) -> Any:
    """Run `get_image_features` from the alignment on."""
    answers: dict[str, Iterator[Answer]] = {
        name: iter([_stands_for(output) for output in outputs]) for name, outputs in features.stood_in.items()
    }
    answers[alignment] = iter([_feeds(*call) for call in features.fed])
    return _double(owner, "", answers).get_image_features(**features.inputs)


def _stands_for(output: Any) -> Answer:
    return lambda _: pytree.tree_map_only(Shape, _zeros, output)


def _feeds(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Answer:
    return lambda alignment: alignment(*args, **kwargs)


def _double(module: nn.Module, name: str, answers: Mapping[str, Iterator[Answer]]) -> Any:
    """Return a module that shares all tensors with `module`, without hooks, and with some parts stood in for."""
    if name in answers:
        return _StandIn(module, answers[name])
    if not any(part.startswith(f"{name}." if name else "") for part in answers):
        return module
    double = copy.copy(module)
    for key, value in module.__dict__.items():
        if key.endswith("_hooks"):
            double.__dict__[key] = OrderedDict()
        elif key == "_modules":
            double.__dict__[key] = {child: _double(part, below(name, child), answers) for child, part in value.items()}
    return double


class _StandIn(nn.Module):
    """Answers as a part did before; beyond that, and in all else, it is the part."""

    def __init__(self, part: nn.Module, answers: Iterator[Answer]) -> None:
        super().__init__()
        self.part = part
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("part"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        answer = next(self.answers, None)
        return self.part(*args, **kwargs) if answer is None else answer(self.part)


def _beside(owner: nn.Module, alignment: str) -> Iterator[str]:
    """Name the parts that can be called before the alignment: the nearest ones off its path that have a forward."""
    steps = alignment.split(".")
    for depth, step in enumerate(steps):
        path = ".".join(steps[:depth])
        for child, part in owner.get_submodule(path).named_children():
            if child != step:
                yield from _callable(below(path, child), part)


def _callable(name: str, part: nn.Module) -> Iterator[str]:
    if not isinstance(part, nn.ModuleList | nn.ModuleDict):
        yield name
        return
    for child, each in part.named_children():
        yield from _callable(below(name, child), each)


def _positions(output: Any) -> Tensor:
    """Return the embeddings of a picture's positions [positions hidden]."""
    found = getattr(output, "pooler_output", output)
    pieces = [found] if isinstance(found, Tensor) else list(found)
    return torch.cat([piece.reshape(-1, piece.shape[-1]) for piece in pieces])


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _shape(tensor: Tensor) -> Shape:
    return Shape(tuple(tensor.shape), tensor.dtype, tensor.device)


def _zeros(shape: Shape) -> Tensor:
    return torch.zeros((), dtype=shape.dtype, device=shape.device).expand(shape.size)
