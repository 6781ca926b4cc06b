"""A model's chat template, and what it makes of a question and its answer.

The template is the processor's, or else the tokenizer's. A message's content is a list of parts, a picture and a text;
where a template takes one text alone, the picture's placeholder stands in a line before the question.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers.utils import chat_template_utils as library

from mmke.backbones.hf.processor import CANNOT_READ
from mmke.backbones.reason import reason
from mmke.errors import UserError

QUESTION, ANSWER = "Qquestionq", "Aanswera"
"""Stand for a question and an answer where a template is taken apart."""
DAY = datetime(2024, 7, 26, tzinfo=UTC)
"""What templates that print the date are told, so that each day asks the same; Llama 3.2's falls back to it itself."""
CANNOT_RENDER = (*CANNOT_READ, ArithmeticError, RecursionError)
AS_DATA = re.compile(rf"""['"]text['"]: ?['"]{QUESTION}""")
"""A question as part of a printed list: the template took the list for a text."""


@dataclass(frozen=True)
class Rendering:
    """How prompts are rendered.

    Attributes:
        processor: the model's.
        template: its chat template; None: beginning of sequence, picture and bare text.
        placeholder: what stands for a picture where no template writes it; nothing where the processor adds it.
        parts: whether a message's content is a list of parts, or one text.
    """

    processor: Any
    template: str | None
    placeholder: str = ""
    parts: bool = True

    def text(self, question: str, answer: str | None = None, *, pictured: bool) -> str:
        """Return the prompt as text, a picture as its placeholder; without an answer it ends where one begins."""
        if self.template is None:
            return (self.placeholder if pictured else "") + question + ("" if answer is None else f" {answer}")
        turns = [{"role": "user", "content": self._content(question, pictured=pictured)}]
        if answer is not None:
            turns.append({"role": "assistant", "content": self._content(answer, pictured=False)})
        with _one_day():
            rendered: str = self.processor.apply_chat_template(
                turns, chat_template=self.template, add_generation_prompt=answer is None
            )
        return rendered

    def _content(self, text: str, *, pictured: bool) -> Any:
        if self.parts:
            return [*([{"type": "image"}] if pictured else []), {"type": "text", "text": text}]
        return f"{self.placeholder}\n{text}" if pictured and self.placeholder else text


def find_template(processor: Any, folder: Path) -> str | None:
    """Return a model's chat template; None where it has none.

    Raises:
        UserError: it has several, and none is called default.
    """
    for owner in (processor, processor.tokenizer):
        stated = getattr(owner, "chat_template", None)
        if isinstance(stated, list):  # as old files list them
            stated = {each["name"]: each["template"] for each in stated}
        if isinstance(stated, dict):
            if "default" not in stated:
                raise UserError(
                    f"{folder} has several chat templates ({', '.join(stated)}) and none is called 'default'; save the "
                    f"one that is meant as {folder / 'chat_template.jinja'}"
                )
            stated = stated["default"]
        if stated:
            return str(stated)
    return None


def choose_rendering(processor: Any, template: str | None, placeholder: str, folder: Path) -> Rendering:
    """Return the way in which a template takes its messages.

    Raises:
        UserError: in neither way does it render a question and its answer, each once.
    """
    if template is None:
        return Rendering(processor, None, placeholder)
    ways = [Rendering(processor, template, placeholder, parts) for parts in (True, False)]
    problems = [_problem(way) for way in ways]
    for way, problem in zip(ways, problems, strict=True):
        if problem is None:
            return way
    raise UserError(f"{folder}: its chat template {problems[0]}; copy the model's own there")


def _problem(way: Rendering) -> str | None:
    """Return what is wrong with the prompts of one way, for a message; None: nothing."""
    try:
        bare, pictured = (way.text(QUESTION, ANSWER, pictured=each) for each in (False, True))
        opened = [way.text(QUESTION, pictured=each) for each in (False, True)]
    except CANNOT_RENDER as error:
        return f"cannot be rendered ({reason(error)})"
    for text in (bare, pictured):
        if text.count(QUESTION) != 1 or text.count(ANSWER) != 1 or AS_DATA.search(text):
            return f"does not render the question and the answer once, as text: {text[:200]!r}"
    if any(text.count(QUESTION) != 1 for text in opened):
        return f"does not render a question once: {opened[0][:200]!r}"
    if bare == pictured and way.placeholder:
        return "leaves out the picture"
    return None


@contextmanager
def _one_day() -> Iterator[None]:
    """Let templates see one day: the library takes the present one from this name of its module."""
    module: Any = library
    present, module.datetime = module.datetime, _Day
    try:
        yield
    finally:
        module.datetime = present


class _Day:
    @staticmethod
    def now() -> datetime:
        return DAY
