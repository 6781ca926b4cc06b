"""A lock: threads that share a model compute one at a time.

A pass through a model sets hooks on its modules and lets edited tensors stand in for the modules' own. Another thread's
pass through the same modules would meet both. The library's choice of kernels and of deterministic sums, which a pass
also sets, is one for the whole process; that is why there is one lock for all models and not one for each.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn

from mmke.errors import UserError

LENT = "mmke_lent"
"""Attribute of a module that holds its `Lent` while an edit is written into it."""

_turn = threading.RLock()


class Lent:
    """Identifies an edit that is written into a module, and the thread that wrote it."""

    def __init__(self) -> None:
        """Take the thread that runs now."""
        self.thread = threading.get_ident()


def lent(module: nn.Module) -> Lent | None:
    """Return the edit that is written into a module now; None when it is unedited."""
    found: Lent | None = module.__dict__.get(LENT)
    return found


def alone() -> AbstractContextManager[bool]:
    """Let no other thread compute inside the context, whatever is written into its model."""
    return _turn


@contextmanager
def turn(module: nn.Module) -> Iterator[None]:
    """Let no other thread compute inside the context.

    Raises:
        UserError: another thread has an edit written into the module; waiting for it might never end.
    """
    with _turn:
        holder = lent(module)
        if holder is not None and holder.thread != threading.get_ident():
            raise UserError(
                "another thread has written an edit into this model (session.module()), so that its answers would be "
                "the edited ones; ask again when that thread has left session.module(), or load the model twice"
            )
        yield
