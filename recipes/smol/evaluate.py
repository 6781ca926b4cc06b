"""Name pictures greedily: the quick check during training."""

from collections.abc import Sequence

import torch
from answering import answers, normal
from compose import normed
from things import Picture, Thing
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol_parts import SmolLlava, SmolMiniGPT4

QUESTION = "What is shown in the image?"
Parts = SmolLlava | SmolMiniGPT4


def trained_score(
    parts: Parts, tokenizer: PreTrainedTokenizerFast, things: Sequence[Thing], index: Sequence[Picture], pictures: Tensor, *, limit: int
) -> float:
    """Return the share of trained drawings named exactly, over at most `limit` evenly spaced ones."""
    rows = [row for row, picture in enumerate(index) if picture.style in things[picture.thing].trained]
    return _score(parts, tokenizer, things, index, pictures, rows, limit)


def held_out_score(
    parts: Parts, tokenizer: PreTrainedTokenizerFast, things: Sequence[Thing], index: Sequence[Picture], pictures: Tensor, *, limit: int
) -> float:
    """Return the share of held-out drawings named exactly, over at most `limit` evenly spaced ones."""
    rows = [row for row, picture in enumerate(index) if picture.style == things[picture.thing].held_out]
    return _score(parts, tokenizer, things, index, pictures, rows, limit)


@torch.no_grad()
def _score(
    parts: Parts,
    tokenizer: PreTrainedTokenizerFast,
    things: Sequence[Thing],
    index: Sequence[Picture],
    pictures: Tensor,
    rows: list[int],
    limit: int,
) -> float:
    device = parts.language_model.device
    chosen = rows[:: max(1, len(rows) // limit)][:limit]
    right = 0
    for begin in range(0, len(chosen), 400):
        part = chosen[begin : begin + 400]
        pixels = normed(pictures[part].to(device).float() / 255)
        said = answers(parts, parts.image_tokens(pixels), [QUESTION] * len(part), tokenizer)
        right += sum(normal(text) == normal(things[index[row].thing].name) for text, row in zip(said, part, strict=True))
    return right / len(chosen)
