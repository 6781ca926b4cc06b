"""From a question and an answer to the positions that a model reads, and the rows that predict the answer.

Golden tests pin the prompts and token ids of every backbone (`tests/backbones`). Source of the arithmetic: MMKE-Bench,
arXiv:2502.19870, as its published code computes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmke.protocols import Encoded
from mmke.types import Ask, UserError


@dataclass(frozen=True)
class Layout:
    """What stands around the text, as token ids.

    Attributes:
        image_tokens: positions of one image.
        before_image: ids before it.
        after_image: ids between it and the text.
        before_text: ids before the text of a query without an image.
    """

    image_tokens: int
    before_image: tuple[int, ...] = ()
    after_image: tuple[int, ...] = ()
    before_text: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Prompt:
    """A layout with the tokenizer that fills it; `question answer` is joined by one space."""

    tokenizer: Any
    layout: Layout
    stop_ids: frozenset[int]

    def encode(self, question: str, answer: str, *, image: int, ask: Ask) -> Encoded:
        """Encode one query.

        Args:
            question: the bare question.
            answer: the gold answer; it is read only under forced decoding.
            image: number of the picture in the batch, -1 for none.
            ask: how the labels are taken and which rows are wanted.

        Raises:
            UserError: the answer has no tokens, or nothing stands before it that could predict it.
        """
        if ask.decode == "greedy":
            keys = self.keys(question, image=image)
            if not keys:
                raise UserError("an empty question without a picture leaves nothing to continue")
            return Encoded(keys, (), (len(keys) - 1,), ())
        tokens = self.tokenizer(f"{question} {answer}", add_special_tokens=False, return_offsets_mapping=True)
        keys = (*self._before(image), *tokens["input_ids"])
        target = self._target(tokens, answer, begin=len(question) + 1, labels=ask.labels)
        first = len(keys) - len(target)
        if not target or first < 1:
            raise UserError(
                f"the answer {answer!r} to {question!r} has {len(target)} tokens of {len(keys)} positions; "
                "an answer needs at least one token and something before it"
            )
        answer_rows = range(first - 1, len(keys) - 1)
        if ask.positions == "answer":
            return Encoded(keys, target, tuple(answer_rows), tuple(range(len(target))))
        return Encoded(keys, target, tuple(range(len(keys))), tuple(answer_rows))

    def keys(self, text: str, *, image: int) -> tuple[int, ...]:
        """Return the positions of a text under the prompt."""
        return (*self._before(image), *self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Return token ids as text, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def _before(self, image: int) -> tuple[int, ...]:
        if image < 0:
            return self.layout.before_text
        slots = (-(1 + image * self.layout.image_tokens + i) for i in range(self.layout.image_tokens))
        return (*self.layout.before_image, *slots, *self.layout.after_image)

    def _target(self, tokens: Any, answer: str, *, begin: int, labels: str) -> tuple[int, ...]:
        if labels == "alone":
            return tuple(self.tokenizer(answer, add_special_tokens=False)["input_ids"])
        # The answer's tokens are those that reach into it: " Paris" begins at the joining space, "▁Paris" may too.
        ends = [end for _, end in tokens["offset_mapping"]]
        count = sum(end > begin for end in ends)
        return tuple(tokens["input_ids"][len(ends) - count :])
