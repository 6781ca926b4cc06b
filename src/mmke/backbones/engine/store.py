"""Stores of trunks and image features in memory; the least recently used one is dropped first."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.turns import alone
from mmke.backbones.weights.memory import free_memory

T = TypeVar("T")

HOST = torch.device("cpu")
MOST = 16 << 30
"""Bytes of the machine's memory that a store takes at most; it never takes more than half of what is free."""


ON_DEVICE = 1 << 29
"""Bytes that a run keeps where they were computed."""


class MemoryStore:
    """Keeps results up to `budget` bytes, where they were computed (on the GPU or in the machine's memory)."""

    def __init__(self, budget: int = ON_DEVICE) -> None:
        self.budget = budget
        self.held = 0
        self._kept: OrderedDict[tuple[object, ...], tuple[Any, int]] = OrderedDict()

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        with alone():  # threads may share a store
            kept: T | None = self.find(key)
            if kept is None:
                kept = make()
                self.put(key, kept)
            return kept

    def find(self, key: tuple[object, ...]) -> Any:
        """Return what is kept under `key`; None when it is not there."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: tuple[object, ...], thing: object) -> None:
        """Keep something that is not there yet; what was used longest ago is dropped to make room."""
        size = bytes_of(thing)
        if size > self.budget:
            self._leave(key, thing)
            return
        self._kept[key] = thing, size
        self.held += size
        while self.held > self.budget:
            oldest, (left, freed) = self._kept.popitem(last=False)
            self.held -= freed
            self._leave(oldest, left)

    def _leave(self, key: tuple[object, ...], thing: object) -> None:
        """Drop something; a subclass may keep it elsewhere."""


class HostStore(MemoryStore):
    """Keeps results of a GPU in the machine's memory, and copies them back when they are needed.

    A training goes over its records again and again, and a run goes over them with one editor after the other: what
    lies below the lowest edited layer is computed the first time alone.
    """

    def __init__(self, budget: int | None = None, *, on_device: int = 0) -> None:
        """Take budgets in bytes.

        Args:
            budget: of the machine's memory; without one, by what is free.
            on_device: of what was used last and stays where it was computed.
        """
        super().__init__(on_device)
        free = free_memory(HOST)
        self._host = MemoryStore(min(MOST, MOST if free is None else free // 2) if budget is None else budget)

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        return super().get(key, lambda: self._brought(key, make))

    def _brought(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        kept = self._host.find(key)
        brought: T = make() if kept is None else moved(*kept)
        return brought

    def _leave(self, key: tuple[object, ...], thing: object) -> None:
        if self._host.find(key) is None and bytes_of(thing) <= self._host.budget:
            self._host.put(key, (moved(thing, HOST), _device(thing) or HOST))


def store_for(device: torch.device) -> MemoryStore:
    """Return a store for results on a device: half a GiB there, and for a GPU more in the machine's memory."""
    return HostStore(on_device=ON_DEVICE) if device.type == "cuda" else MemoryStore(ON_DEVICE)


def moved(thing: Any, device: torch.device) -> Any:
    """Return a tensor, container or dataclass with all its tensors on a device."""
    if isinstance(thing, Tensor):
        # To the machine it has to be waited for, from there not.
        return sent(thing, device)
    if isinstance(thing, dict):
        values = {key: moved(value, device) for key, value in thing.items()}
        return values if type(thing) is dict else type(thing)(**values)  # what the library's models hand on
    if isinstance(thing, tuple | list) and thing and not isinstance(thing[0], int):
        parts = [moved(value, device) for value in thing]
        return thing._make(parts) if hasattr(thing, "_make") else type(thing)(parts)
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
