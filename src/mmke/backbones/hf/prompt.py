"""A model's own prompt: its chat template where it has one, else beginning of sequence, picture and bare text.

The question stands in the user's turn behind the picture, the answer is the assistant's turn. Token ids are those that
the model's processor makes of the whole (`tests/backbones/test_hf_prompt.py`): what stands before the question is taken
from it, up to the last special token, and the tokenizer reads on from there.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmke.backbones.hf.processor import TEXT_KEYS, process
from mmke.backbones.hf.rendering import ANSWER, QUESTION, Rendering
from mmke.backbones.pictures import read_picture
from mmke.backbones.prompt import SLOT, Head, Prompt
from mmke.backbones.special import read_text, reserved_ids
from mmke.errors import CannotAskError, UserError
from mmke.protocols import PositionIds
from mmke.types import ImageRef

KEPT = 1024
"""Pictures whose frames are kept; one of a large model is thousands of positions."""
WRITTEN = 256
"""Positions for an answer that the model writes."""


class Opened(NamedTuple):
    """What stands before a question: the frame, the text that is read with the question, and the picture's numbers."""

    frame: tuple[int, ...]
    head: Head
    facts: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Template:
    """A processor that renders prompts, and what it made of each picture.

    Attributes:
        rendering: how prompts become text.
        image_token: id that stands at each position of a picture.
        rotary: the model's `get_rope_index`, where positions have several axes.
        window: how many positions back its layers see, where some do not see all.
    """

    rendering: Rendering
    image_token: int
    rotary: Any = None
    window: int | None = None
    _opened: dict[str | None, Opened] = field(default_factory=dict)

    @property
    def processor(self) -> Any:
        """The model's processor."""
        return self.rendering.processor

    def prompt(self, stop_ids: frozenset[int]) -> Prompt:
        """Return the prompt of a backbone.

        Raises:
            UserError: the template cannot be taken apart.
        """
        return Prompt(
            tokenizer=self.processor.tokenizer,
            frame=lambda image: self.open(image).frame,
            stop_ids=stop_ids,
            between=self.between(),
            head=lambda image: self.open(image).head,
            position_ids=self.position_ids,
            reserved=reserved_ids(self.processor) | {self.image_token},
            rendered="".join(self.render(QUESTION, ANSWER, pictured=pictured) for pictured in (False, True)),
        )

    def render(self, question: str, answer: str | None = None, *, pictured: bool) -> str:
        """Return the prompt as text, a picture as its placeholder; without an answer it ends where one begins."""
        return self.rendering.text(question, answer, pictured=pictured)

    def between(self) -> str:
        """Return what stands between question and answer.

        Raises:
            UserError: a picture changes what stands between them.
        """
        found = {self._between(pictured=pictured) for pictured in (False, True)}
        if len(found) > 1:
            raise UserError(
                f"the chat template leads to the answer in one way with a picture and in another without: {found}"
            )
        return found.pop()

    def open(self, image: ImageRef | None) -> Opened:
        """Return what stands before the question of a query with this picture, or with none.

        Raises:
            CannotAskError: the picture cannot be read, or the processor makes no positions for it.
        """
        key = None if image is None else image.key
        if key not in self._opened:
            if len(self._opened) >= KEPT:
                self._opened.pop(next(iter(self._opened)))
            self._opened[key] = self._open(image)
        return self._opened[key]

    def position_ids(self, input_ids: tuple[int, ...], image: ImageRef | None) -> PositionIds | None:
        """Return each key's position on every axis, as the model's own code computes them; None: its number.

        Raises:
            CannotAskError: the model's layers would not see the beginning any more.
        """
        if self.window is not None and len(input_ids) > self.window - WRITTEN:
            raise CannotAskError(
                f"a prompt of {len(input_ids)} positions is too long: some layers of this model see {self.window} "
                f"positions back, {WRITTEN} are kept for what it writes, and mmke computes layers that see all; "
                "shorten it (ike.demonstrations)"
            )
        if self.rotary is None:
            return None
        ids = [self.image_token if key == SLOT else key for key in input_ids]
        kinds = self.processor.create_mm_token_type_ids([ids])
        facts = {"input_ids": torch.tensor([ids]), "mm_token_type_ids": torch.tensor(kinds), **self.open(image).facts}
        accepted = inspect.signature(self.rotary).parameters
        positions, _ = self.rotary(**{name: value for name, value in facts.items() if name in accepted})
        return tuple(map(tuple, positions[:, 0].T.tolist()))

    def _between(self, *, pictured: bool) -> str:
        answered, asked = self.render(QUESTION, ANSWER, pictured=pictured), self.render(QUESTION, pictured=pictured)
        opening = asked.partition(QUESTION)[2]
        between = answered.partition(QUESTION)[2].partition(ANSWER)[0]
        # Where they differ by more than a space, the opening is what the model was made to continue.
        return between if between.rstrip(" ") == opening.rstrip(" ") else opening

    def _open(self, image: ImageRef | None) -> Opened:
        rendered = self.render(QUESTION, pictured=image is not None)
        before, _, behind = rendered.partition(QUESTION)
        picture = None if image is None else read_picture(image)
        try:
            made = process(self.processor, rendered, picture)
        except CannotAskError as error:
            raise CannotAskError(f"{error}" if image is None else f"{image.path}: {error}") from error
        ids = made["input_ids"][0].tolist()
        frame, head = self._divide(ids, before, QUESTION + behind)
        slots = tuple(SLOT if key == self.image_token and image is not None else key for key in frame)
        if image is not None and SLOT not in slots:
            raise CannotAskError(f"the model's processor makes no positions for the picture in {before[-80:]!r}")
        facts = {name: made[name] for name in made if name not in TEXT_KEYS and not name.startswith("pixel")}
        return Opened(slots, head, facts)

    def _divide(self, ids: list[int], before: str, behind: str) -> tuple[tuple[int, ...], Head]:
        """Divide a prompt's tokens behind the last special one before the question."""
        tokenizer = self.processor.tokenizer
        special = tokenizer.added_tokens_decoder
        follow = sum(token in special for token in read_text(tokenizer, behind)[0])
        places = [place for place, token in enumerate(ids) if token in special]
        places = places[: len(places) - follow]
        frame = tuple(ids[: places[-1] + 1]) if places else ()
        begin = special[frame[-1]].content if frame else ""
        decoded = tokenizer.decode(ids[len(frame) :], clean_up_tokenization_spaces=False)
        # The processor may write text of its own behind a picture, decoding may lose a space, and text that begins
        # behind a token which the tokenizer itself put there may read otherwise: what fits is right.
        for literal in (self._literal(before), decoded.partition(QUESTION)[0]):
            for head in (Head(begin + literal, known=len(frame[-1:])), Head(literal)):
                if [*frame, *read_text(tokenizer, head.text + behind)[0][head.known :]] == ids:
                    return frame, head
        raise UserError(
            "the model's tokenizer reads a question in a way that cannot be told apart from what stands before it "
            f"({before[-80:]!r})"
        )

    def _literal(self, before: str) -> str:
        """Return the plain text at the end of what stands before the question."""
        ids, ends = read_text(self.processor.tokenizer, before)
        special = self.processor.tokenizer.added_tokens_decoder
        placeholder = str(getattr(self.processor, "image_token", None) or "")
        last = [end for token, end in zip(ids, ends, strict=True) if token in special]
        if placeholder and placeholder in before:
            last.append(before.rindex(placeholder) + len(placeholder))
        return before[max(last, default=0) :]
