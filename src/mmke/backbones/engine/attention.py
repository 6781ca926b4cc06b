"""Attention over packs of queries, and the library's own for everybody else.

In: the queries, keys and values of one layer [1 heads seq width]. Out: what each position read [1 seq heads width].

The language model is set to an attention function of ours. Within `attending` it computes trie by trie. Outside, when
somebody else calls the module (`session.module()`, the library's `generate`), it is the library's SDPA with the
library's own masks, so that padding is masked as in any other model. The difference is kept in a context variable,
which every thread has for itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from mmke.protocols import TrieSpan

ATTENTION = "mmke-pack"
"""Our name for `attend` among the library's attention functions."""

KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Without cuDNN's: it makes a plan for every new length, and nearly every record has one; a plan takes a second."""

_tries: ContextVar[Sequence[TrieSpan] | None] = ContextVar("_tries", default=None)
"""The tries of the pack that is being computed; None outside. The library's layers hand on no argument of ours."""


@contextmanager
def attending(tries: Sequence[TrieSpan]) -> Iterator[None]:
    """Let attention go by tries within; see `attend`."""
    token = _tries.set(tries)
    try:
        yield
    finally:
        _tries.reset(token)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attend trie by trie within `attending`, and as the library does outside.

    The first nodes of a trie may be a plain chain, for which the causal kernel needs no mask and leaves out the half
    that is not seen. The rows of `attention_mask` [1 1 masked widest] are the other nodes of all tries; their columns
    are the nodes of the trie that they belong to. Without tries everything is one trie, and the last queries are
    masked, as many as the mask has rows.
    """
    tries = _tries.get()
    if tries is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    masked = 0 if attention_mask is None else attention_mask.shape[2]
    queries, outputs, row = query.shape[2], [], 0

    def attend_to(asking: slice, seen: slice, mask: Tensor | None) -> None:
        part = query[:, :, asking], key[:, :, seen], value[:, :, seen]
        outputs.append(sdpa_attention_forward(module, *part, mask, **options)[0])

    with sdpa_kernel(KERNELS):
        if not tries and not masked:
            return sdpa_attention_forward(module, query, key, value, None, **options)
        for begin, branch, end in tries or (TrieSpan(0, queries - masked, key.shape[2]),):
            if begin < branch:
                attend_to(slice(begin, branch), slice(begin, branch), None)
            if attention_mask is not None and branch < end:
                rest = min(end, queries) - branch
                attend_to(
                    slice(branch, branch + rest),
                    slice(begin, end),
                    attention_mask[:, :, row : row + rest, : end - begin],
                )
                row += rest
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), None


def attend_in_packs(model: Any) -> None:
    """Let a language model attend by `attend`."""
    AttentionInterface.register(ATTENTION, attend)
    # Within a pack the library makes no mask: it gets one with four axes and passes that on.
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
