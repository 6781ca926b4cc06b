"""Stores of trunks and image features: where they were computed, in the machine's memory, on disk.

In each of them what was used least recently leaves first, for the next one below if there is one.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from mmke.backbones.engine import disk
from mmke.backbones.engine.disk import OnDisk
from mmke.backbones.engine.sending import sent
from mmke.backbones.engine.structure import bytes_of, mapped, moved, tensors_in
from mmke.backbones.engine.turns import alone
from mmke.backbones.weights.memory import free_memory

T = TypeVar("T")

HOST = torch.device("cpu")
MOST = 16 << 30
"""Bytes of the machine's memory that a store takes at most; it never takes more than half of what is free."""


ON_DEVICE = 1 << 29
"""Bytes that a run keeps where they were computed."""


@runtime_checkable
class Below(Protocol):
    """Where a store leaves what it has no room for."""

    def holds(self, key: tuple[object, ...]) -> bool:
        """Tell whether something is kept under `key`."""
        ...

    def find(self, key: tuple[object, ...]) -> Any:
        """Return what is kept under `key`; None when it is not there."""
        ...

    def put(self, key: tuple[object, ...], thing: object) -> None:
        """Keep something that is not there yet."""
        ...


class MemoryStore:
    """Keeps results up to `budget` bytes, where they were computed (on the GPU or in the machine's memory)."""

    def __init__(self, budget: int = ON_DEVICE, below: Below | None = None, *, takes_back: bool = False) -> None:
        """Take a budget in bytes.

        Args:
            budget: of what is kept here.
            below: where that goes for which there is no room; without it, it is computed again when it is needed.
            takes_back: whether what is found below is kept here again, and makes others leave. Results are asked for
                in turns, so that this helps only where bringing them costs more than their room.
        """
        self.budget = budget
        self.held = 0
        self._takes_back = takes_back
        self._below = below
        self._kept: OrderedDict[tuple[object, ...], tuple[Any, int]] = OrderedDict()

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        with alone():  # threads may share a store
            kept: T | None = self.find(key)
            if kept is None:
                kept = make()
                self.put(key, kept)
            return kept

    def holds(self, key: tuple[object, ...]) -> bool:
        """Tell whether something is kept under `key`, here or below."""
        return key in self._kept or (self._below is not None and self._below.holds(key))

    def find(self, key: tuple[object, ...]) -> Any:
        """Return what is kept under `key`; None when it is not there."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        found = None if self._below is None else self._below.find(key)
        if found is not None and self._takes_back:
            self.put(key, found)
        return found

    def put(self, key: tuple[object, ...], thing: object) -> None:
        """Keep something that is not there yet; what was used longest ago leaves to make room."""
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
        # What was brought from below is still there.
        if self._below is not None and not self._below.holds(key):
            self._below.put(key, thing)


class InMachine:
    """Keeps results of a GPU in the machine's memory, and copies them back when they are needed."""

    def __init__(self, kept: MemoryStore) -> None:
        """Take the store in which they are kept."""
        self._kept = kept

    def holds(self, key: tuple[object, ...]) -> bool:
        """Tell whether something is kept under `key`, in memory or below."""
        return self._kept.holds(key)

    def find(self, key: tuple[object, ...]) -> Any:
        """Return what is kept under `key`, on the devices that it came from; None when it is not there."""
        kept = self._kept.find(key)
        if kept is None:
            return None
        thing, devices = kept
        back = iter(devices)
        return mapped(thing, lambda tensor: sent(tensor, next(back)))

    def put(self, key: tuple[object, ...], thing: object) -> None:
        """Keep a copy of something."""
        self._kept.put(key, (moved(thing, HOST), [tensor.device for tensor in tensors_in(thing)]))


class HostStore(MemoryStore):
    """Keeps results of a GPU where they were computed, then in the machine's memory, then on disk.

    A training goes over its records again and again, a run goes over them with one editor after the other, and a stream
    of edits goes back to them: what lies below the lowest edited layer is computed the first time alone.
    """

    def __init__(
        self, budget: int | None = None, *, on_device: int = 0, below: Below | None = None, share: int = 1
    ) -> None:
        """Take budgets in bytes.

        Args:
            budget: of the machine's memory; without one, by what is free.
            share: among how many processes what is free is divided.
            on_device: of what was used last and stays where it was computed.
            below: where that goes for which the machine's memory has no room.
        """
        free = free_memory(HOST)
        most = min(MOST, MOST if free is None else free // 2 // share) if budget is None else budget
        super().__init__(on_device, InMachine(MemoryStore(most, below)), takes_back=True)


def store_for(device: torch.device, *, on_disk: int | None = None, share: int = 1) -> MemoryStore:
    """Return a store for results on a device: half a GiB there, for a GPU more in the machine's memory, then on disk.

    Args:
        device: on which the results are computed.
        on_disk: the most that is written there, in bytes; None: by what is free (`disk.MOST`).
        share: how many processes of this machine have such a store.
    """
    below = OnDisk(disk.MOST if on_disk is None else on_disk, all_of_it=False)
    return (
        HostStore(on_device=ON_DEVICE, below=below, share=share)
        if device.type == "cuda"
        else MemoryStore(ON_DEVICE, below)
    )
