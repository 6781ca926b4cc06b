"""Compare answers with what is right: exact, begins with it, and how long the answers are.

An edited model can say the right word and not stop; then `exact` falls, `starts` stays, and `words` grows. Texts are
compared as `metrics.generation.normalise` leaves them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from mmke.abilities.question import Question
from mmke.metrics.generation import normalise


class Judged(NamedTuple):
    """What was said to one question, and whether it is right.

    Attributes:
        id: of the question.
        text: the answer; None where the question cannot be asked.
        exact: whether it is the right answer and nothing else.
        starts: whether it begins with the right answer, at whole words.
        words: of the answer, by blanks.
    """

    id: str
    text: str | None
    exact: bool
    starts: bool
    words: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the questions that were asked; shares are in [0, 1].

    Attributes:
        exact: share of answers that are exactly right.
        starts: share of answers that begin with the right one.
        words: mean length of an answer.
        count: how many questions were asked.
        unasked: how many could not be.
        exact_error: standard error of `exact`; of a difference, of its paired difference.
        starts_error: the same of `starts`.
    """

    exact: float
    starts: float
    words: float
    count: int
    unasked: int = 0
    exact_error: float = 0.0
    starts_error: float = 0.0


def judge(question: Question, text: str | None) -> Judged:
    """Compare an answer with the right one; None: the question cannot be asked."""
    if text is None:
        return Judged(question.id, None, exact=False, starts=False, words=0)
    said, right = normalise(text).split(), normalise(question.answer).split()
    begins = bool(right) and said[: len(right)] == right
    return Judged(question.id, text, exact=said == right, starts=begins or said == right, words=len(text.split()))


def figures(judged: Sequence[Judged]) -> Figures:
    """Return the means of answers, of which those that could not be asked are left out."""
    asked = [each for each in judged if each.text is not None]
    return _means(
        [float(each.exact) for each in asked],
        [float(each.starts) for each in asked],
        [float(each.words) for each in asked],
        unasked=len(judged) - len(asked),
    )


def difference(edited: Sequence[Judged], unedited: Sequence[Judged]) -> Figures:
    """Return the mean differences of two models' answers to the same questions, with errors of the pairs.

    Raises:
        ValueError: the two were asked other questions.
    """
    if [each.id for each in edited] != [each.id for each in unedited]:
        raise ValueError("answers to different questions cannot be paired")
    pairs = [(one, two) for one, two in zip(edited, unedited, strict=True) if None not in (one.text, two.text)]
    return _means(
        [float(one.exact) - two.exact for one, two in pairs],
        [float(one.starts) - two.starts for one, two in pairs],
        [float(one.words - two.words) for one, two in pairs],
        unasked=len(edited) - len(pairs),
    )


def _means(exact: Sequence[float], starts: Sequence[float], words: Sequence[float], *, unasked: int) -> Figures:
    if not exact:
        return Figures(math.nan, math.nan, math.nan, 0, unasked)
    return Figures(fmean(exact), fmean(starts), fmean(words), len(exact), unasked, _error(exact), _error(starts))


def _error(values: Sequence[float]) -> float:
    """Return the standard error of a mean; 0 of one value, whose spread is not known."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
