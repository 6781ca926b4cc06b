"""A second card for tests on a processor: tensors of the device "cpu:1", which take no part in products with others.

A tensor there wraps one of the processor and computes on it, so that its bits are those of the processor. What reads
tensors of both devices at once is an error, as it is on two real cards, also inside a backward pass. What was brought
from one to the other is counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

FIRST, SECOND = torch.device("cpu"), torch.device("cpu", 1)
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class There(Tensor):
    """A tensor on the second card."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls: type["There"], inner: Tensor) -> "There":  # noqa: PYI034
        made: There = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=SECOND,
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse: the mode below computes."""
        raise RuntimeError(f"{func} on the second card outside `two_cards`")

    def tolist(self) -> Any:
        """Return the values."""
        return self.inner.tolist()

    def cpu(self) -> Tensor:  # type: ignore[override]
        """Return a copy on the first card."""
        return self.to(FIRST)


class TwoCards(TorchDispatchMode):
    """Computes with tensors of both cards; `brought` counts copies from one to the other."""

    def __init__(self) -> None:
        super().__init__()
        self.brought = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [each for each in pytree.tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        there = any(isinstance(each, There) for each in tensors)
        # `torch.tensor([], device=...)`, with which the library begins a cache, does not come by here.
        here = any(not isinstance(each, There) and each.numel() for each in tensors)
        if there and here and func not in COPIES:
            raise RuntimeError(f"{func} reads tensors of two cards")
        named = kwargs.get("device")
        wraps = there if named is None else torch.device(named) == SECOND
        if func is COPIES[1]:
            wraps = isinstance(args[0], There)
            self.brought += len({isinstance(each, There) for each in tensors}) > 1
        elif func is COPIES[0]:
            self.brought += wraps != there
        if named is not None:
            kwargs["device"] = FIRST
        if named is not None and torch.device(named).type != "cpu":
            kwargs["device"] = named
        made = func(*pytree.tree_map(_inner, args), **pytree.tree_map(_inner, kwargs))
        if not wraps:
            return made if not there else pytree.tree_map(lambda each: each, made)
        wrapped = pytree.tree_map(lambda each: There(each) if isinstance(each, Tensor) else each, made)
        return return_and_correct_aliasing(func, args, kwargs, wrapped) if there else wrapped


def _inner(each: Any) -> Any:
    return each.inner if isinstance(each, There) else each


@contextmanager
def two_cards() -> Iterator[TwoCards]:
    """Let tensors be on a second card within."""
    with TwoCards() as cards:
        yield cards
