"""The tensors in a structure: a tensor, or dicts, lists, tuples, named tuples and dataclasses that hold some.

What is stored of a model is such a structure: hidden states, what the layers above take besides them, image features.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mmke.backbones.engine.sending import sent


def mapped(thing: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a structure with every tensor replaced by what `change` makes of it, in one fixed order."""
    if isinstance(thing, Tensor):
        return change(thing)
    if isinstance(thing, dict):
        values = {key: mapped(value, change) for key, value in thing.items()}
        return values if type(thing) is dict else type(thing)(**values)  # what the library's models hand on
    if isinstance(thing, tuple | list) and thing and not isinstance(thing[0], int):
        parts = [mapped(value, change) for value in thing]
        return thing._make(parts) if hasattr(thing, "_make") else type(thing)(parts)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{field.name: mapped(getattr(thing, field.name), change) for field in fields(thing)})
    return thing


def tensors_in(thing: Any) -> list[Tensor]:
    """Return the tensors of a structure, in the order of `mapped`."""
    if isinstance(thing, Tensor):
        return [thing]
    parts: Any = ()
    if isinstance(thing, dict):
        parts = thing.values()
    elif isinstance(thing, tuple | list) and thing and not isinstance(thing[0], int):
        parts = thing
    elif is_dataclass(thing) and not isinstance(thing, type):
        parts = (getattr(thing, field.name) for field in fields(thing))
    return [tensor for part in parts for tensor in tensors_in(part)]


def moved(thing: Any, device: torch.device) -> Any:
    """Return a structure with all its tensors on a device."""
    # To the machine they have to be waited for, from there not.
    return mapped(thing, lambda tensor: sent(tensor, device))


def bytes_of(thing: object) -> int:
    """Return the bytes of all tensors in a structure."""
    return sum(tensor.nbytes for tensor in tensors_in(thing))
