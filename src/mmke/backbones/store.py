"""A store of trunks and image features in memory, least recently used out first."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


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
