"""A question with a short answer, and a suite of them."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from mmke.errors import UserError
from mmke.types import Query


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: unique in its suite.
        kind: of question, for break-downs.
        query: its text as the model is asked, and its picture.
        answer: what is right.
    """

    id: str
    kind: str
    query: Query
    answer: str


@dataclass(frozen=True, slots=True)
class Suite:
    """Questions that are asked together.

    Attributes:
        name: of the suite.
        questions: in their order.
        available: how many there are, of which these were drawn.
        left_out: how many were not drawn from because an edit is about what they show.
    """

    name: str
    questions: tuple[Question, ...]
    available: int
    left_out: int = 0

    @property
    def revision(self) -> str:
        """Return a digest of the questions, their answers and pictures: equal figures are of equal questions."""
        plain = [
            [each.id, each.query.text, each.query.image.key if each.query.image else None, each.answer]
            for each in self.questions
        ]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


def drawn(names: Sequence[str], *, limit: int, seed: int) -> set[str]:
    """Return a seeded sample of names; a larger limit draws the same ones and more.

    Raises:
        UserError: the limit is below zero.
    """
    if limit < 0:
        raise UserError(f"{limit} questions: give a number, or 0 for all")
    order = sorted(names)
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    return set(order[: limit or None])
