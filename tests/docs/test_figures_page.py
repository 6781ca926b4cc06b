"""The example by hand of the page on figures, computed again from its own tables by the metrics themselves."""

import re
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from mmke.metrics.accuracy import token_accuracy
from mmke.metrics.agreement import rank_agreement, set_overlap
from mmke.metrics.divergence import mean_kl
from mmke.metrics.generation import exact_match, token_f1
from mmke.report.estimates import Mean, difference, mean

PAGE = (Path(__file__).parents[2] / "docs" / "figures.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.partition("## An example by hand")[2].partition("\n## ")[0]
QUESTION = re.compile(r"^\| [^|]+\? \| `(.+)` \| `(.+)` \| `(.+)` \| (\S+) \| (\S+) \|$", re.MULTILINE)
WORDS = ("a", "the", "lion")
"""The vocabulary of the unrelated question."""


def ids(words: str) -> list[int]:
    """Return a number for each word."""
    return [int.from_bytes(word.encode(), "big") for word in words.split()]


def share(predicted: str, gold: str) -> float:
    """Return the token accuracy of some words."""
    return token_accuracy(ids(predicted), ids(gold)).value


def row(name: str) -> list[float]:
    """Return the figures of a line of the example."""
    found = re.search(rf"^\| {re.escape(name)} \|(.+)\|$", EXAMPLE, re.MULTILINE)
    assert found is not None, name
    return [float(cell) for cell in found[1].split("|") if re.fullmatch(r" *[\d.]+ *", cell)]


def records() -> tuple[list[float], list[float]]:
    """Return each record's score and floor, in per cent, from the tables of questions."""
    tables = [QUESTION.findall(part) for part in EXAMPLE.split("A second record")]
    assert [len(questions) for questions in tables] == [2, 1]
    return (
        [100 * fmean(share(after, gold) for gold, _, after, _, _ in questions) for questions in tables],
        [100 * fmean(share(before, gold) for gold, before, _, _, _ in questions) for questions in tables],
    )


def of(values: list[float]) -> Mean:
    """Return the mean over records."""
    found = mean((str(i), value) for i, value in enumerate(values))
    assert found is not None
    return found


def distributions() -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities [positions words] of the unedited and of the edited model."""
    cells = re.findall(r"^\| \d \| (.+) \| (.+) \|$", EXAMPLE, re.MULTILINE)
    read = [[dict(re.findall(r"`(\w+)` ([\d.]+)", cell)) for cell in some] for some in cells]
    before, after = (np.array([[float(some[side][word]) for word in WORDS] for some in read]) for side in (0, 1))
    return before, after


def test_the_share_of_each_question() -> None:
    questions = QUESTION.findall(EXAMPLE)
    assert len(questions) == 3
    for gold, before, after, floor, score in questions:
        assert (share(before, gold), share(after, gold)) == pytest.approx(
            (float(Fraction(floor)), float(Fraction(score)))
        )


def test_means_errors_and_gains() -> None:
    scores, floors = records()
    score, floor = of(scores), of(floors)
    gain = difference(score, floor)
    gains = [each - other for each, other in zip(scores, floors, strict=True)]
    for name, values, figure in (("score", scores, score), ("floor", floors, floor), ("gain", gains, gain)):
        assert row(name) == [round(each, 1) for each in (*values, figure.value, figure.se or 0.0)]


def test_the_micro_average() -> None:
    questions = QUESTION.findall(EXAMPLE)
    right = sum(share(after, gold) * len(gold.split()) for gold, _, after, _, _ in questions)
    tokens = sum(len(gold.split()) for gold, *_ in questions)
    assert f"{right:.0f} tokens right of {tokens}, that is {100 * right / tokens:.1f}" in EXAMPLE


def test_locality() -> None:
    before, after = distributions()
    ranked = [np.argsort(-each, axis=1, kind="stable") for each in (before, after)]
    found = {
        "agreement, `strict`": 100 * rank_agreement(*(each[:, :1] for each in ranked)).value,
        "agreement by three ranks": 100 * rank_agreement(*ranked).value,
        "overlap of the first three": 100 * set_overlap(*ranked).value,
    }
    assert {name: row(name)[-1] for name in found} == {name: round(value, 1) for name, value in found.items()}
    assert row("divergence")[-1] == round(mean_kl(np.log(before), np.log(after)), 3)


@pytest.mark.parametrize("written", ["Akureyri.", "The town of Akureyri.", "Nairobi"])
def test_what_the_model_writes(written: str) -> None:
    assert row(written) == [100 * exact_match(written, "Akureyri"), 100 * token_f1(written, "Akureyri")]
