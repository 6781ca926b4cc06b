"""A tokenizer for random weights: it cuts text into about as many pieces as a real one, and knows no words.

Pieces are up to six letters with the space before them: on English descriptions about 1.3 a word, as LLaMA's
vocabulary makes (`tests/backbones/test_stand_in.py`).
"""

import re
import zlib
from collections.abc import Sequence

PIECE = re.compile(r"\s?[^\W\d_]{1,6}|\s?\d|\s?[^\w\s]|\s+|_")
SPECIAL = 4
"""Ids below it are no piece's: padding, beginning, end."""


class StandInTokenizer:
    """Ids by hashing pieces into a vocabulary."""

    bos_token_id = 1
    eos_token_id = 2

    def __init__(self, vocabulary: int) -> None:
        """Take the number of ids."""
        self.vocabulary = vocabulary

    def __call__(
        self, text: str, *, add_special_tokens: bool = False, return_offsets_mapping: bool = False
    ) -> dict[str, list[int] | list[tuple[int, int]]]:
        """Return `input_ids` and `offset_mapping` as the library's tokenizers do."""
        found = list(PIECE.finditer(text))
        ids = [SPECIAL + zlib.crc32(piece.group().encode()) % (self.vocabulary - SPECIAL) for piece in found]
        return {"input_ids": ids, "offset_mapping": [piece.span() for piece in found]}

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the numbers: there are no words."""
        return " ".join(map(str, ids))
