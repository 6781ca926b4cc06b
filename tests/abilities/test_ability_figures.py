"""Answers against what is right: exact, begins with it, and their length."""

import pytest

from mmke.abilities.figures import difference, figures, judge
from mmke.abilities.question import Question
from mmke.types import Query

LION = Question("1", "name", Query("What is it?"), "a lion")


@pytest.mark.parametrize(
    ("text", "exact", "starts", "words"),
    [
        ("Lion.", True, True, 1),
        ("the lion This This This", False, True, 5),
        ("lioness", False, False, 1),
        ("It is a lion", False, False, 4),
        ("", False, False, 0),
    ],
)
def test_an_answer_is_judged_exactly_by_its_beginning_and_by_its_length(
    text: str, *, exact: bool, starts: bool, words: int
) -> None:
    assert judge(LION, text)[1:] == (text, exact, starts, words)


def test_means_leave_out_what_could_not_be_asked() -> None:
    found = figures([judge(LION, "lion"), judge(LION, "lion lion lion"), judge(LION, None)])
    assert (found.exact, found.starts, found.words, found.count, found.unasked) == (0.5, 1.0, 2.0, 2, 1)
    assert found.exact_error == pytest.approx(0.5)  # of 1 and 0: their deviation is 1/√2, by √2


def test_a_difference_is_of_pairs() -> None:
    before = [judge(LION, text) for text in ("lion", "lion", "dog")]
    after = [judge(LION, text) for text in ("lion", "lion This", "dog This")]
    found = difference(after, before)
    assert (found.exact, found.starts) == (pytest.approx(-1 / 3), 0.0)
    assert found.words == pytest.approx(2 / 3)
    assert found.exact_error == pytest.approx(1 / 3)
    assert found.starts_error == 0.0


def test_answers_to_other_questions_are_not_paired() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        difference([judge(LION, "lion")], [])
