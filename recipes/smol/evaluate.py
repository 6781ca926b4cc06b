"""Name pictures greedily: the quick check during training."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from answering import answers, normal
from compose import normed
from things import Picture, Thing
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol.parts import SmolLlava, SmolMiniGPT4

QUESTION = "What is shown in the image?"
Parts = SmolLlava | SmolMiniGPT4


class Check(NamedTuple):
    """What is named: the things, the index of the pictures, the pictures (n x 3 x 224 x 224, bytes)."""

    things: Sequence[Thing]
    index: Sequence[Picture]
    pictures: Tensor

    def rows(self, *, held_out: bool) -> list[int]:
        """Return the pictures in the style held out for their thing, or all that are trained on."""
        if held_out:
            return [row for row, shown in enumerate(self.index) if shown.style == self.things[shown.thing].held_out]
        return [row for row, shown in enumerate(self.index) if shown.style in self.things[shown.thing].trained]


@torch.no_grad()
def score(parts: Parts, tokenizer: PreTrainedTokenizerFast, check: Check, rows: list[int], *, limit: int) -> float:
    """Return the share named exactly of at most `limit` evenly spaced pictures out of `rows`."""
    device = parts.language_model.device
    chosen = rows[:: max(1, len(rows) // limit)][:limit]
    right = 0
    for begin in range(0, len(chosen), 400):
        part = chosen[begin : begin + 400]
        pixels = normed(check.pictures[part].to(device).float() / 255)
        said = answers(parts, parts.image_tokens(pixels), [QUESTION] * len(part), tokenizer)
        wanted = [check.things[check.index[row].thing].name for row in part]
        right += sum(normal(text) == normal(name) for text, name in zip(said, wanted, strict=True))
    return right / len(chosen)
