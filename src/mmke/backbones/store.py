"""Stores of trunks and image features in memory, least recently used out first."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmke.backbones.memory import free_memory

T = TypeVar("T")

HOST = torch.device("cpu")
MOST = 16 << 30
"""Bytes of the machine's memory that a store takes at most; it never takes more than half of what is free."""


class MemoryStore:
    """Keeps results up to `budget` bytes, where they were computed (on the card or on the host)."""

    def __init__(self, budget: int = 1 << 29) -> None:
        self.budget = budget
        self.held = 0
        self._kept: OrderedDict[tuple[object, ...], tuple[Any, int]] = OrderedDict()

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        if key in self._kept:
            self._kept.move_to_end(key)
            kept: T = self._kept[key][0]
            return kept
        made = make()
        size = bytes_of(made)
        if size <= self.budget:
            self._kept[key] = made, size
            self.held += size
        while self.held > self.budget:
            _, (_, freed) = self._kept.popitem(last=False)
            self.held -= freed
        return made


class HostStore:
    """Keeps results in the machine's memory; those of a card are brought back to it when they are asked for.

    A training goes over its records again and again: what lies below the lowest edited layer is computed in the first
    epoch alone.
    """

    def __init__(self, budget: int | None = None) -> None:
        """Take a budget in bytes; without one, by what is free."""
        free = free_memory(HOST)
        self._kept = MemoryStore(min(MOST, MOST if free is None else free // 2) if budget is None else budget)

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        made: list[T] = []

        def keep() -> tuple[Any, torch.device]:
            made.append(make())
            return moved(made[0], HOST), _device(made[0]) or HOST

        kept, device = self._kept.get(key, keep)
        if made:
            return made[0]
        brought: T = moved(kept, device)
        return brought


def moved(thing: Any, device: torch.device) -> Any:
    """Return a tensor, container or dataclass with all its tensors on a device."""
    if isinstance(thing, Tensor):
        return thing.to(device)
    if isinstance(thing, dict):
        return {key: moved(value, device) for key, value in thing.items()}
    if isinstance(thing, tuple | list) and thing and not isinstance(thing[0], int):
        values = [moved(value, device) for value in thing]
        return thing._make(values) if hasattr(thing, "_make") else type(thing)(values)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{field.name: moved(getattr(thing, field.name), device) for field in fields(thing)})
    return thing


def _device(thing: Any) -> torch.device | None:
    """Return where the first tensor is."""
    if isinstance(thing, Tensor):
        return thing.device
    parts: Any = ()
    if isinstance(thing, dict):
        parts = thing.values()
    elif isinstance(thing, tuple | list) and thing and not isinstance(thing[0], int):
        parts = thing
    elif is_dataclass(thing):
        parts = (getattr(thing, field.name) for field in fields(thing))
    return next((found for found in map(_device, parts) if found is not None), None)


def bytes_of(thing: object) -> int:
    """Return the bytes of all tensors in a tensor, container or dataclass."""
    if isinstance(thing, Tensor):
        return thing.numel() * thing.element_size()
    if isinstance(thing, dict):
        return sum(bytes_of(value) for value in thing.values())
    if isinstance(thing, tuple | list) and thing and not isinstance(thing[0], int):
        return sum(bytes_of(value) for value in thing)
    if is_dataclass(thing):
        return sum(bytes_of(getattr(thing, field.name)) for field in fields(thing))
    return 0
