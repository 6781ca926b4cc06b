"""A model's language model in parts, by what one ordinary forward pass shows.

What lies between the last layer and the head, and whether layers have the form residual + mlp(norm(residual)), is
watched while the model reads a prompt in its own way; the form is then computed again and has to give the same bits.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmke.backbones.engine.attention import attend_in_packs
from mmke.backbones.engine.decoder import Decoder, Mlp
from mmke.backbones.hf.sites import Sites, parent


@dataclass
class LayerSeen:
    """What was seen of a layer: the inputs and outputs of its parts, by name, and its own output."""

    parts: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    output: Any = None


@dataclass
class Seen:
    """What was seen of a language model: its layers, and the parts that were called behind them, in order."""

    layers: list[LayerSeen]
    behind: list[str] = field(default_factory=list)

    def begin(self, *_: object) -> None:
        """Forget an earlier pass."""
        self.layers[-1].output = None
        self.behind.clear()


def watch(model: Any, sites: Sites, read: Callable[[], object]) -> Seen:
    """Return what was seen of the language model at its last pass while `read` ran."""
    language = model.get_submodule(sites.language)
    seen = Seen([LayerSeen() for _ in language.layers])
    with ExitStack() as hooks:
        hooks.callback(language.layers[0].register_forward_pre_hook(seen.begin).remove)
        for name, child in language.named_children():
            if child is not language.layers:
                hooks.callback(child.register_forward_hook(_note(seen, name)).remove)
        for layer, each in zip(language.layers, seen.layers, strict=True):
            hooks.callback(layer.register_forward_hook(_finished(each), with_kwargs=True).remove)
            for name, child in layer.named_children():
                hooks.callback(child.register_forward_hook(_part(each, name), with_kwargs=True).remove)
        read()
    return seen


def take_apart(model: Any, sites: Sites, seen: Seen | None) -> Decoder:
    """Return the parts of a model's language model; of a skeleton, which was not seen reading, only the names hold."""
    language = model.get_submodule(sites.language)
    attend_in_packs(language)
    return Decoder(
        model=language,
        embed=model.get_input_embeddings(),
        layers=language.layers,
        finish=_finish(language, seen.behind if seen else []),
        head=model.get_output_embeddings(),
        mlp=_mlp(language.layers, sites, seen),
        config=language.config,
    )


def _finish(language: nn.Module, names: Sequence[str]) -> Callable[[Tensor], Tensor]:
    def finish(hidden: Tensor) -> Tensor:
        for name in names:
            hidden = language.get_submodule(name)(hidden)
        return hidden

    return finish


def _mlp(layers: nn.ModuleList, sites: Sites, seen: Seen | None) -> Mlp:
    found = None if seen is None else _form(layers, sites, seen)
    if found is None:
        return Mlp(lambda layer: layer, lambda _, hidden: hidden, sites.slots, known=False)
    norm, mlp = found
    return Mlp(lambda layer: layer.get_submodule(norm), lambda layer, x: _run(layer, x, norm, mlp), sites.slots)


@torch.no_grad()
def _form(layers: nn.ModuleList, sites: Sites, seen: Seen) -> tuple[str, str] | None:
    """Return the names of a layer's second norm and MLP, if every layer is residual + mlp(norm(residual))."""
    mlp = parent(sites.slots["mlp_out"]) if sites.slots else ""
    first = seen.layers[0].parts
    norms = [name for name, (_, output) in first.items() if mlp in first and output is first[mlp][0]]
    if len(norms) != 1:
        return None
    for layer, each in zip(layers, seen.layers, strict=True):
        residual = each.parts.get(norms[0], (None, None))[0]
        if not isinstance(residual, Tensor) or not isinstance(each.output, Tensor):
            return None
        again = _run(layer, residual, norms[0], mlp)
        if not isinstance(again, Tensor) or not torch.equal(again, each.output):
            return None
    return norms[0], mlp


def _run(layer: Any, residual: Tensor, norm: str, mlp: str) -> Any:
    output = layer.get_submodule(mlp)(layer.get_submodule(norm)(residual))
    return residual + output if isinstance(output, Tensor) else None


def _note(seen: Seen, name: str) -> Callable[..., None]:
    def note(*_: Any) -> None:
        if seen.layers[-1].output is not None:
            seen.behind.append(name)

    return note


def _finished(seen: LayerSeen) -> Callable[..., None]:
    def note(_module: nn.Module, _args: Any, _kwargs: Any, output: Any) -> None:
        seen.output = output

    return note


def _part(seen: LayerSeen, name: str) -> Callable[..., None]:
    def note(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        seen.parts[name] = (args[0] if args else next(iter(kwargs.values()), None), output)

    return note
