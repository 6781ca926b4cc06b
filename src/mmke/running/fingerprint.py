"""A fingerprint of a module: changes if an editor leaves a changed bit, a hook or a `requires_grad` behind.

In: a module. Out: a digest. A run compares it at the end of every cell, so that no table is made of a model that an
edit has changed. Each tensor's bits are read as integers and summed on the tensor's own device: once plainly, once
weighted by row and once by column. This finds accidents; it is no cryptographic hash.
"""

import hashlib
from itertools import chain

import torch
from torch import Tensor, nn

WIDTH = 4096
"""Integers in a row, when a tensor is read as a matrix."""
WORD = 8
"""Bytes of an integer."""


def fingerprint(module: nn.Module) -> str:
    """Return a digest of all parameters and buffers, `requires_grad`, training modes and hooks."""
    digest = hashlib.sha256()
    tensors = chain(module.named_parameters(), module.named_buffers())
    # All sums are queued before the first is read: reading one waits for the GPU.
    for name, tensor, sums in [(name, tensor, _sums(tensor)) for name, tensor in tensors]:
        line = f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad} {sums.tolist()}\n"
        digest.update(line.encode())
    for name, part in module.named_modules():
        hooks = len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks)  # noqa: SLF001
        digest.update(f"{name} {part.training} {hooks}\n".encode())
    return digest.hexdigest()


@torch.no_grad()
def _sums(tensor: Tensor) -> Tensor:
    """Return plain, row-weighted and column-weighted sums of a tensor's bits, modulo 2^64."""
    bits = tensor.detach().contiguous().flatten().view(torch.uint8)
    # Summing integers of 8 bytes is ten times as fast as summing bytes; such a view must begin at a multiple of 8.
    bits = bits if bits.storage_offset() % WORD == 0 else bits.clone()
    whole = bits[: len(bits) // (WIDTH * WORD) * WIDTH * WORD].view(torch.int64).view(-1, WIDTH)
    rest = bits[whole.numel() * WORD :].long()
    rows, columns = whole.sum(1), whole.sum(0)
    weighted = [(part * torch.arange(1, len(part) + 1, device=part.device)).sum() for part in (rows, columns, rest)]
    return torch.stack([rows.sum() + rest.sum(), *weighted])
