"""A tokenizer for models with random weights, for measuring speed: about as many tokens as a real one makes.

In: text. Out: token ids and their offsets. Pieces are up to six letters with the space before them: on English
descriptions about 1.3 a word, as LLaMA's vocabulary makes (`tests/backbones/test_stand_in.py`).
"""

import re
import zlib
from collections.abc import Sequence

PIECE = re.compile(r"\s?[^\W\d_]{1,6}|\s?\d|\s?[^\w\s]|\s+|_")
SPECIAL = 4
"""Smaller ids are special tokens: padding, beginning, end."""


class StandInTokenizer:
    """Gives each piece of text a hash as its id; different pieces may have the same id."""

    bos_token_id = 1
    eos_token_id = 2

    def __init__(self, vocabulary: int) -> None:
        """Take the size of the vocabulary."""
        self.vocabulary = vocabulary

    def __call__(
        self, text: str, *, add_special_tokens: bool = False, return_offsets_mapping: bool = False
    ) -> dict[str, list[int] | list[tuple[int, int]]]:
        """Return `input_ids` and `offset_mapping` as the library's tokenizers do."""
        found = list(PIECE.finditer(text))
        ids = [SPECIAL + zlib.crc32(piece.group().encode()) % (self.vocabulary - SPECIAL) for piece in found]
        return {"input_ids": ids, "offset_mapping": [piece.span() for piece in found]}

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the ids themselves as text, since a hash cannot be turned back into words."""
        return " ".join(map(str, ids))
