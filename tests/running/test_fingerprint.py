"""The fingerprint sees whatever an edit could leave behind."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from mmke.running.fingerprint import fingerprint


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(70, 130), nn.LayerNorm(130), nn.Dropout(0.1)).eval()


def nudge(module: nn.Module) -> None:
    module[0].weight.data[3, 5] = torch.nextafter(module[0].weight.data[3, 5], torch.tensor(9.0))


def swap_rows(module: nn.Module) -> None:
    module[0].weight.data[[0, 100]] = module[0].weight.data[[100, 0]]


def swap_neighbours(module: nn.Module) -> None:
    module[0].weight.data[0, [1, 2]] = module[0].weight.data[0, [2, 1]]


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "one bit": nudge,
    "rows swapped": swap_rows,
    "neighbours swapped": swap_neighbours,
    "gradient switched": lambda module: module[1].requires_grad_(requires_grad=False),
    "training mode": lambda module: module[2].train(),
    "a hook left": lambda module: module[1].register_forward_hook(lambda *_: None),
    "precision": lambda module: module[1].bfloat16(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_changes_with(change: Callable[[nn.Module], object], module: nn.Module) -> None:
    before = fingerprint(module)
    assert fingerprint(module) == before
    change(module)
    assert fingerprint(module) != before
