"""From a question and an answer to the input ids that a model reads, and the rows that predict the answer.

Golden tests pin the prompts and token ids of every backbone (`tests/backbones`). Source of the arithmetic: MMKE-Bench,
arXiv:2502.19870, as its published code computes it.
"""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mmke.backbones.special import Piece, Reader, Tokens
from mmke.errors import CannotAskError
from mmke.protocols import Encoded, PositionIds
from mmke.types import Ask, ImageRef

REMEMBERED = 1 << 18
"""Tokens of texts that are kept: of the questions of a few hundred records, or of the prompts of one record under an
editor that puts much text before them."""

SLOT = -1
"""Stands for one position of an image among the token ids of a frame."""

Frame = Callable[[ImageRef | None], tuple[int, ...]]
"""What stands before the text of a query with this picture, or with none: token ids, and SLOT for image positions."""


@dataclass(frozen=True)
class Layout:
    """The frame of a model to which every picture is equally long.

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

    def __call__(self, image: ImageRef | None) -> tuple[int, ...]:
        """Return what stands before the text."""
        if image is None:
            return self.before_text
        return (*self.before_image, *(SLOT,) * self.image_tokens, *self.after_image)


class Head(NamedTuple):
    """Text that is tokenised together with the question; its first `known` tokens are already part of the frame."""

    text: str = ""
    known: int = 0


@dataclass(eq=False)
class _ReadBefore:
    """What was read, up to `REMEMBERED` tokens; what was read first is forgotten first."""

    texts: dict[tuple[Piece, ...], Tokens] = field(default_factory=dict)
    held: int = 0

    def get(self, pieces: tuple[Piece, ...], reader: Reader) -> Tokens:
        """Return the tokens of a text."""
        if pieces not in self.texts:
            read = reader.read(pieces)
            self.held += len(read.ids)
            while self.texts and self.held > REMEMBERED:
                self.held -= len(self.texts.pop(next(iter(self.texts))).ids)
            self.texts[pieces] = read
        return self.texts[pieces]


@dataclass(frozen=True, eq=False)
class Prompt:
    """A model's prompt: the frame, which stands before the text, and the tokenizer of the text.

    Attributes:
        tokenizer: one of the library's, with offsets.
        frame: what stands before the text.
        stop_ids: end a text that the model writes.
        between: stands between question and answer: a space, or the turn of a chat template.
        begin: what `Ask.begin` puts before a query with a picture: the beginning of sequence where the frame lacks it.
        head: text before the question that has to be tokenised together with it.
        position_ids: returns the position of each input id on every axis, from a prompt's input_ids and the picture;
            None where positions simply count up.
        reserved: ids beside the special ones that no question or answer may hold, such as a picture's placeholder.
        rendered: the prompt of a question and its answer as text, where a chat template renders it.
    """

    tokenizer: Any
    frame: Frame
    stop_ids: frozenset[int]
    between: str = " "
    begin: tuple[int, ...] = ()
    head: Callable[[ImageRef | None], Head] = lambda _: Head()
    position_ids: Callable[[tuple[int, ...], ImageRef | None], PositionIds | None] | None = None
    rendered: str = ""
    reserved: frozenset[int] = frozenset()
    _read_before: _ReadBefore = field(default_factory=_ReadBefore, init=False, repr=False)

    @cached_property
    def reader(self) -> Reader:
        """Return what reads texts."""
        return Reader(self.tokenizer, self.reserved)

    @property
    def revision(self) -> str:
        """A digest of the prompt as it is rendered: runs with another one ask something else."""
        frame = self.frame if isinstance(self.frame, Layout) else self.frame(None)
        stated = repr((self.rendered or frame, self.between, self.begin))
        return hashlib.sha256(stated.encode()).hexdigest()[:16]

    def slots(self, image: ImageRef) -> int:
        """Return how many positions a picture takes."""
        return self.frame(image).count(SLOT)

    def encode(self, question: str, answer: str, *, image: ImageRef | None, first: int = 0, ask: Ask) -> Encoded:
        """Encode one query.

        Args:
            question: the bare question.
            answer: the gold answer; it is read only under forced decoding.
            image: the picture, if any.
            first: number of its first position among those of all pictures of the batch.
            ask: how the labels are taken and which rows are wanted.

        Raises:
            CannotAskError: the answer has no tokens, nothing stands before it that could predict it, or a text holds
                what can only be read as a special token.
        """
        before = (*self._begin(image, ask), *self.frame(image))
        if ask.decode == "generate":
            ids, ends = self._read(self._opening(question), image)
            input_ids = (*before, *ids)
            if not input_ids:
                raise CannotAskError("an empty question without a picture leaves nothing to continue")
            encoded = Encoded(input_ids, (), (len(input_ids) - 1,), ())
            return self._placed(encoded, image=image, first=first, question=_within(question, ends, len(before)))
        ids, ends = self._read(self._joint(question, answer), image)
        input_ids = (*before, *ids)
        target = self._target(ids, ends, answer, begin=len(question) + len(self.between), labels=ask.labels)
        begin = len(input_ids) - len(target)
        if not target or begin < 1:
            raise CannotAskError(
                f"the answer {answer!r} to {question!r} has {len(target)} tokens of {len(input_ids)} positions; "
                "an answer needs at least one token and something before it"
            )
        answer_rows = range(begin - 1, len(input_ids) - 1)
        rows, among = tuple(answer_rows), tuple(range(len(target)))
        if ask.positions == "all":
            rows, among = tuple(range(len(input_ids))), rows
        encoded = Encoded(input_ids, target, rows, among)
        return self._placed(encoded, image=image, first=first, question=_within(question, ends, len(before)))

    def joint(self, question: str, answer: str) -> str:
        """Return question and answer as one text."""
        return f"{question}{self.between}{answer}"

    def opening(self, question: str) -> str:
        """Return what a model continues: the question, and what stands before an answer."""
        return question + self.between.rstrip(" ")

    def input_ids(self, question: str, answer: str = "", *, image: ImageRef | None) -> tuple[int, ...]:
        """Return the positions of a question, and of its answer if it has one; SLOT for those of a picture."""
        pieces = self._joint(question, answer) if answer else self._opening(question)
        return (*self.frame(image), *self._read(pieces, image).ids)

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text by itself, behind the beginning of sequence if the tokenizer has one."""
        begin = self.tokenizer.bos_token_id
        return (*(() if begin is None else (begin,)), *self._tokens((Piece(text),)).ids)

    def as_text(self, question: str, *, image: ImageRef | None) -> str:
        """Return the whole prompt of a question as text, special tokens included; of a picture how long it is.

        Raises:
            CannotAskError: the question cannot be read.
        """
        runs = itertools.groupby(self.input_ids(question, image=image), key=lambda token: token == SLOT)
        texts = [(is_picture, list(ids)) for is_picture, ids in runs]
        return "".join(
            f"<picture: {len(ids)} positions>" if is_picture else self.tokenizer.decode(ids, skip_special_tokens=False)
            for is_picture, ids in texts
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Return token ids as text, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def ends(self, written: Sequence[int], token: int) -> bool:
        """Tell whether a token ends what a model writes.

        That is end of sequence, or a newline behind something; white space that an answer begins with is passed over.
        """
        if token in self.stop_ids:
            return True
        return "\n" in self.decode([token]) and bool(self.decode([*written, token]).strip())

    def _begin(self, image: ImageRef | None, ask: Ask) -> tuple[int, ...]:
        return self.begin if ask.begin and image is not None else ()

    def _placed(self, encoded: Encoded, *, image: ImageRef | None, first: int, question: tuple[int, int]) -> Encoded:
        """Return a query with the position of each input id, and with the numbers of its picture's positions."""
        places = None if self.position_ids is None else self.position_ids(encoded.input_ids, image)
        if image is None:
            return replace(encoded, position_ids=places, question=question)
        ids = np.array(encoded.input_ids)
        slots = ids == SLOT
        ids[slots] = -(1 + first + np.arange(slots.sum()))
        return replace(encoded, input_ids=tuple(ids.tolist()), position_ids=places, question=question)

    def _joint(self, question: str, answer: str) -> tuple[Piece, ...]:
        return Piece(question), Piece(self.between, users=False), Piece(answer)

    def _opening(self, question: str) -> tuple[Piece, ...]:
        return Piece(question), Piece(self.between.rstrip(" "), users=False)

    def _read(self, pieces: tuple[Piece, ...], image: ImageRef | None) -> Tokens:
        """Return the tokens of a text behind the frame, and where in the text each ends."""
        head = self.head(image)
        ids, ends = self._tokens((Piece(head.text, users=False), *pieces))
        return Tokens(ids[head.known :], [end - len(head.text) for end in ends[head.known :]])

    def _tokens(self, pieces: tuple[Piece, ...]) -> Tokens:
        """Return a text's tokens and where each ends; a text that was measured is not read again to be asked."""
        return self._read_before.get(pieces, self.reader)

    def _target(self, ids: list[int], ends: list[int], answer: str, *, begin: int, labels: str) -> tuple[int, ...]:
        if labels == "alone":
            return tuple(self.reader.read([Piece(answer)]).ids)
        # The answer's tokens are those that reach into it: " Paris" begins at the joining space, "▁Paris" may too.
        count = sum(end > begin for end in ends)
        return tuple(ids[len(ids) - count :])


def _within(question: str, ends: Sequence[int], before: int) -> tuple[int, int]:
    """Return the positions of a question's text.

    Args:
        question: the bare question.
        ends: where in the text behind the frame each token ends; those of the frame's head end before it begins.
        before: positions of the frame.
    """
    begin = sum(end <= 0 for end in ends)
    return before + begin, before + max(begin, sum(end <= len(question) for end in ends))
