"""A fingerprint of a module: every tensor's bits, and whatever an editor could leave behind.

Checked at the end of every cell of a run, so that a table is never made of a model that an edit has changed. It sums
the bits as integers, plainly and weighted by row and column, on whatever device the tensors are, with no copy to the
host. It finds accidents; it is no cryptographic hash.
"""

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

WIDTH = 4096
WORD = 8


def fingerprint(module: nn.Module) -> str:
    """Return a digest of all parameters and buffers, `requires_grad`, training modes and hooks."""
    digest = hashlib.sha256()
    for line in _lines(module):
        digest.update(line.encode())
    return digest.hexdigest()


def _lines(module: nn.Module) -> Iterator[str]:
    sums = [(name, tensor, _sums(tensor)) for name, tensor in _tensors(module)]
    for name, tensor, value in sums:
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad} {value.tolist()}\n"
    for name, part in module.named_modules():
        hooks = len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)  # noqa: SLF001
        yield f"{name} {part.training} {hooks}\n"


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


@torch.no_grad()
def _sums(tensor: Tensor) -> Tensor:
    """Return plain, row-weighted and column-weighted sums of a tensor's bits, modulo 2^64."""
    bits = tensor.detach().contiguous().flatten().view(torch.uint8)
    # As whole words, ten times as fast as number by number; a view of words must begin at one.
    bits = bits if bits.storage_offset() % WORD == 0 else bits.clone()
    whole = bits[: len(bits) // (WIDTH * WORD) * WIDTH * WORD].view(torch.int64).view(-1, WIDTH)
    rest = bits[whole.numel() * WORD :].long()
    rows, columns = whole.sum(1), whole.sum(0)
    weighted = [_ramp(rows), _ramp(columns), _ramp(rest)]
    return torch.stack([rows.sum() + rest.sum(), *weighted])


def _ramp(values: Tensor) -> Tensor:
    return (values * torch.arange(1, len(values) + 1, device=values.device)).sum()
