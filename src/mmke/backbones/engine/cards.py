"""A model over several cards: which tensor lies where, and what is brought from one card to the next.

In: a module, the names of its decoder and its head, and the cards. Out: the same module, laid over them. Each card has
consecutive decoder layers, so that all cards hold about the same number of bytes. What comes before the layers (image
encoder, alignment, embeddings) lies on the first card, and what comes behind them on the last; a head that shares its
tensor with the embeddings stays with them on the first.

Each part brings what it is given to its own card, in its `forward`. A hook would do the same, but a run checks that an
edit leaves no hook behind, and the capture at a cut relies on being the first of all hooks.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from mmke.backbones.engine.structure import mapped
from mmke.errors import UserError

Place = Callable[[str], torch.device]
"""On which card a tensor lies, by its name in the module."""


class Names(NamedTuple):
    """Where in a module its decoder (without the head) and its head are."""

    decoder: str
    head: str


def places(module: nn.Module, names: Names, cards: Sequence[torch.device]) -> Place:
    """Divide a module among cards, by the bytes of its tensors; they may be on the meta device.

    Raises:
        UserError: there are more cards than decoder layers.
    """
    if len(cards) == 1:
        return lambda _: cards[0]
    layers = f"{names.decoder}.layers"
    of_layer = [cards[i] for i in _cards_of_layers(module, names, len(cards))]
    behind = _behind(module, names)

    def place(name: str) -> torch.device:
        if name.startswith(f"{layers}."):
            return of_layer[int(name.removeprefix(f"{layers}.").partition(".")[0])]
        return cards[-1] if name.startswith(behind) else cards[0]

    return place


def lay(module: nn.Module, names: Names, cards: Sequence[torch.device]) -> None:
    """Lay a module over cards: every tensor is brought to its place, and every part then brings what it is given."""
    if len(cards) == 1:
        module.to(cards[0])
        return
    place = places(module, names, cards)
    made: dict[int, Any] = {}
    for name, tensor in [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]:
        if id(tensor) not in made:
            there = tensor.detach().to(place(name))
            made[id(tensor)] = nn.Parameter(there, requires_grad=False) if isinstance(tensor, nn.Parameter) else there
        owner, _, attribute = name.rpartition(".")
        setattr(module.get_submodule(owner), attribute, made[id(tensor)])
    decoder = module.get_submodule(names.decoder)
    children = [part for name, part in decoder.named_children() if name != "layers"]
    brought: dict[torch.device, WeakTensorKeyDictionary] = {}
    for part in (*children, *decoder.layers, module.get_submodule(names.head)):  # type: ignore[misc]
        card = card_of(part)
        if card is not None:
            part.forward = _Bringing(part.forward, card, brought.setdefault(card, WeakTensorKeyDictionary()))


def cards_of(module: nn.Module) -> tuple[torch.device, ...]:
    """Return the devices on which a module's tensors lie."""
    return tuple(dict.fromkeys(tensor.device for tensor in module.parameters()))


def card_of(part: nn.Module) -> torch.device | None:
    """Return where a part of a model lies; None where it has no tensors of its own."""
    first = next(part.parameters(), None)
    return None if first is None else first.device


class _Bringing:
    """A part's `forward` that first brings what it is given to the part's card.

    What all layers are given alike (a mask, tables of positions) is brought once for all layers of a card, and kept as
    long as the original is there.
    """

    def __init__(self, forward: Callable[..., Any], device: torch.device, brought: WeakTensorKeyDictionary) -> None:
        self.forward = forward
        self.device = device
        self.brought = brought

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = [mapped(each, lambda tensor: tensor.to(self.device)) for each in args]
        shared = {name: mapped(each, self._once) for name, each in kwargs.items()}
        return self.forward(*own, **shared)

    def _once(self, tensor: Tensor) -> Tensor:
        if tensor.device == self.device or tensor.requires_grad:
            return tensor.to(self.device)
        if tensor not in self.brought:
            self.brought[tensor] = tensor.to(self.device)
        there: Tensor = self.brought[tensor]
        return there


def _cards_of_layers(module: nn.Module, names: Names, count: int) -> list[int]:
    """Return of each decoder layer the number of its card: that in whose share of all bytes its middle lies."""
    decoder = module.get_submodule(names.decoder)
    sizes = [_bytes(layer) for layer in decoder.layers]  # type: ignore[union-attr]
    if len(sizes) < count:
        raise UserError(f"{count} cards for {len(sizes)} decoder layers: name fewer cards (--device)")
    whole = _bytes(module)
    behind = _behind(module, names)
    begin = (
        whole - sum(sizes) - sum(tensor.nbytes for name, tensor in module.named_parameters() if name.startswith(behind))
    )
    numbers = []
    for size in sizes:
        numbers.append(min(int((begin + size / 2) / whole * count), count - 1))
        begin += size
    return numbers


def _behind(module: nn.Module, names: Names) -> tuple[str, ...]:
    """Return the names of what comes behind the last layer: norms, a projection, and the head where it has a tensor."""
    decoder, head = module.get_submodule(names.decoder), module.get_submodule(names.head)
    own = [name for name, _ in decoder.named_children() if "norm" in name or name == "project_out"]
    before = {id(tensor) for tensor in decoder.parameters()}
    tied = any(id(tensor) in before for tensor in head.parameters())
    return (*(f"{names.decoder}.{name}." for name in own), *(() if tied else (f"{names.head}.",)))


def _bytes(part: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*part.parameters(), *part.buffers()))
