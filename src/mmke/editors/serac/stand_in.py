"""A text encoder with random weights in the shape of the published one: for time and memory, which depend on no value.

Its words are hashed. All texts are about the same to it, so that every probe is in scope and the counterfactual model
has to answer all of them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchEncoding, DistilBertConfig, DistilBertModel

from mmke.backbones.weights.stand_in import StandInTokenizer

SPREAD = 1e-3
"""Of its weights."""


class StandInWords:
    """Reads texts as the library's tokenizers do, padded to the longest, one piece for about six letters."""

    sep_token = "[SEP]"  # noqa: S105

    def __init__(self, vocabulary: int) -> None:
        """Take the number of ids."""
        self.pieces = StandInTokenizer(vocabulary)

    def __call__(self, texts: Sequence[str], *, max_length: int, **_: object) -> BatchEncoding:
        """Return `input_ids` and `attention_mask` as tensors."""
        ids = [self._ids(text)[:max_length] for text in texts]
        longest = max(map(len, ids))
        padded = [each + [0] * (longest - len(each)) for each in ids]
        mask = [[1] * len(each) + [0] * (longest - len(each)) for each in ids]
        return BatchEncoding({"input_ids": torch.tensor(padded), "attention_mask": torch.tensor(mask)})

    def _ids(self, text: str) -> list[int]:
        found: Any = self.pieces(text)["input_ids"]
        return [self.pieces.bos_token_id, *found, self.pieces.eos_token_id]


def stand_in() -> tuple[Any, Any]:
    """Return DistilBERT's shape with random weights, and its tokenizer."""
    config = DistilBertConfig(initializer_range=SPREAD, dropout=0.0, attention_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DistilBertModel(config), StandInWords(config.vocab_size)
