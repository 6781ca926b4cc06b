"""Text of a question or an answer that looks like a special token (`<image>`, `</s>`) is read as text.

In: the pieces of a prompt, each of which is the template's or the user's. Out: the tokens of all of it. A tokenizer by
itself knows no such difference: the user's `<image>` would become a picture's position without a picture.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mmke.errors import CannotAskError

KINDS = ("image_token_id", "video_token_id", "audio_token_id")
"""Attributes of a processor with ids that stand for what is no text."""


class Piece(NamedTuple):
    """A piece of a prompt: the user's (question, answer), or the template's, whose special tokens are meant."""

    text: str
    users: bool = True


class Tokens(NamedTuple):
    """A text's tokens, none added, and where in the text each ends."""

    ids: list[int]
    ends: list[int]


def read_text(tokenizer: Any, text: str, **options: Any) -> Tokens:
    """Return the tokens that a tokenizer makes of a text."""
    made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, **options)
    return Tokens(made["input_ids"], [end for _, end in made["offset_mapping"]])


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads prompts with one tokenizer.

    Attributes:
        tokenizer: one of the library's, with offsets.
        reserved: ids beside the special ones that no text may become, such as a picture's placeholder.
    """

    tokenizer: Any
    reserved: frozenset[int] = frozenset()

    @cached_property
    def special(self) -> dict[str, int]:
        """Return the texts that the tokenizer reads as special tokens, with their ids."""
        known = getattr(self.tokenizer, "added_tokens_decoder", {})
        return {token.content: number for number, token in known.items() if token.special or number in self.reserved}

    @cached_property
    def _looks_special(self) -> re.Pattern[str]:
        texts = sorted(filter(None, self.special), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    @cached_property
    def _first_letters(self) -> frozenset[str]:
        return frozenset(text[0] for text in self.special if text)

    def read(self, pieces: Sequence[Piece]) -> Tokens:
        """Return the tokens of a prompt.

        Raises:
            CannotAskError: the user's text holds what this tokenizer can only read as a special token.
        """
        found = next((text for piece in pieces if piece.users for text in self.found(piece.text)), None)
        if found is None:
            return read_text(self.tokenizer, "".join(piece.text for piece in pieces))
        read = self._apart(pieces)
        bare = [Piece(self._looks_special.sub("", text) if users else text, users) for text, users in pieces]
        # Whether reading in parts is right is seen with the same prompt, without what looks special.
        if read is None or self._apart(bare) != read_text(self.tokenizer, "".join(piece.text for piece in bare)):
            raise CannotAskError(
                f"the text holds {found!r}, which this model's tokenizer reads as a special token and not as text; "
                "write it in another way"
            )
        return read

    def found(self, text: str) -> list[str]:
        """Return what looks like a special token in a text."""
        if self._first_letters.isdisjoint(text):
            return []
        return self._looks_special.findall(text)

    def _apart(self, pieces: Sequence[Piece]) -> Tokens | None:
        """Read a prompt with the template's special tokens alone; None where other text becomes one all the same."""
        ids, ends, forbidden = [], [], {*self.special.values()} - {getattr(self.tokenizer, "unk_token_id", None)}
        begin = 0
        for text, special in self._runs(pieces):
            read = Tokens([special], [len(text)]) if special is not None else self._as_text(text)
            if special is None and not forbidden.isdisjoint(read.ids):
                return None
            ids += read.ids
            ends += [begin + end for end in read.ends]
            begin += len(text)
        return Tokens(ids, ends)

    def _as_text(self, text: str) -> Tokens:
        return read_text(self.tokenizer, text, split_special_tokens=True)

    def _runs(self, pieces: Sequence[Piece]) -> Iterator[tuple[str, int | None]]:
        """Divide a prompt at the template's special tokens, which come with their ids."""
        plain = ""
        for text, users in pieces:
            at = 0
            for match in () if users else self._looks_special.finditer(text):
                plain += text[at : match.start()]
                if plain:
                    yield plain, None
                yield match.group(), self.special[match.group()]
                plain, at = "", match.end()
            plain += text[at:]
        if plain:
            yield plain, None


def reserved_ids(processor: Any) -> frozenset[int]:
    """Return the ids that a processor puts where a picture, a video or a sound stands."""
    ids = {getattr(processor, name, None) for name in KINDS}
    return frozenset(number for number in ids if isinstance(number, int))
