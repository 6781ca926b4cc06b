"""Agreement on the unedited model's own answer, and what an edit says out of turn."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from mmke.metrics.hard_locality import Agree, DeVQA, Leak
from mmke.types import Answer, Probe, ProbeKind, Query

PROBE = Probe(ProbeKind("ci_picture", "ci_picture", "hard locality", group="CI"), Query("a question"), "target")
UNEDITED, GOLD, GARBAGE = [5, 6, 7, 8], [1, 2, 3, 4], [9, 9, 9, 9]
SAID_UNEDITED = [1, 6, 7, 8]
"""What the unedited model finds most probable when it is fed the gold answer: one token of it is right."""


class Scores(NamedTuple):
    agree: float
    leak: float
    devqa: float


@pytest.fixture
def scores(forced: Callable[..., Answer]) -> Callable[..., Scores]:
    """Score an edited model by what it finds most probable when fed the unedited answer, and when fed the gold one."""

    def said(ids: list[int], target: list[int]) -> Answer:
        return forced([[float(token == each) for token in range(10)] for each in ids], target)

    def score(fed_unedited: list[int], fed_gold: list[int]) -> Scores:
        before, after = said(SAID_UNEDITED, GOLD), said(fed_gold, GOLD)
        return Scores(
            Agree().score(PROBE, said(UNEDITED, UNEDITED), said(fed_unedited, UNEDITED)).value,
            Leak().score(PROBE, before, after).value,
            DeVQA().score(PROBE, None, after).value,
        )

    return score


def test_an_editor_that_does_nothing_agrees_and_leaks_nothing(scores: Callable[..., Scores]) -> None:
    assert scores(UNEDITED, SAID_UNEDITED) == Scores(agree=1.0, leak=0.0, devqa=0.75)


def test_an_editor_that_always_says_the_target_leaks_all_of_it(scores: Callable[..., Scores]) -> None:
    assert scores(GOLD, GOLD) == Scores(agree=0.0, leak=0.75, devqa=0.0)


def test_an_editor_that_says_garbage_is_told_by_agreement_and_not_by_devqa(scores: Callable[..., Scores]) -> None:
    assert scores(GARBAGE, GARBAGE) == Scores(agree=0.0, leak=-0.25, devqa=1.0)


def test_columns_of_a_kind() -> None:
    kind = PROBE.kind
    assert [metric.column(kind) for metric in (Agree(), Leak(), DeVQA())] == [
        "ci_picture",
        "ci_picture_leak",
        "ci_picture_devqa",
    ]


def test_a_gold_answer_without_tokens_is_unscored(forced: Callable[..., Answer]) -> None:
    empty = forced([[0.0] * 10], [])
    for metric in (Leak(), DeVQA()):
        assert metric.score(PROBE, empty, empty).reason == "the gold answer has no token"
