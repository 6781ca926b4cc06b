"""How far the tensors of two edits lie apart."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmke.editing.states import INPUTS, OUTPUTS
from mmke.edits.files import read_edit_tensors
from mmke.edits.record import EditRecord
from mmke.edits.telling import shown


def apart(folders: Sequence[Path], records: Sequence[EditRecord]) -> Iterator[str]:
    """Yield for each tensor of two edits whether it is the same, or the norm of the difference beside their own.

    A low-rank update is compared as the matrix that it is.
    """
    left, right = (matrices(read_edit_tensors(*each)) for each in zip(folders, records, strict=True))
    for name in dict.fromkeys([*left, *right]):
        one, other = left.get(name), right.get(name)
        if one is None or other is None:
            yield f"{shown(name)}: only in {folders[0] if other is None else folders[1]}"
        elif one.shape != other.shape:
            yield f"{shown(name)}: {list(one.shape)} in {folders[0]}, {list(other.shape)} in {folders[1]}"
        elif torch.equal(one, other):
            yield f"{shown(name)}: the same bits"
        else:
            difference, norms = norm(one.double() - other.double()), (norm(one), norm(other))
            yield f"{shown(name)}: they differ by {difference:.3g} (norms {norms[0]:.3g} and {norms[1]:.3g})"


def matrices(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in which each pair of factors is its product."""
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith((INPUTS, OUTPUTS))}
    for name, tensor in tensors.items():
        inputs = tensors.get(name.removesuffix(OUTPUTS) + INPUTS)
        if name.endswith(OUTPUTS) and inputs is not None:
            found[name.removesuffix(OUTPUTS)] = tensor.T @ inputs
    return found


def norm(tensor: Tensor) -> float:
    """Return the root of the sum of squares."""
    return float(tensor.double().norm())
