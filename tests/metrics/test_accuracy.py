"""Accuracy against the oracles of the published formula, and inputs of our own."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mmke.benchmarks.probes.published import KINDS
from mmke.metrics.accuracy import make, token_accuracy
from mmke.types import PAPER, STRICT, Answer, Probe, Switches


def rows_with_argmax(ids: list[int], vocab: int = 5) -> np.ndarray:
    logits = np.zeros((len(ids), vocab))
    logits[np.arange(len(ids)), ids] = 4.0
    return logits


def test_two_of_three_predicted_tokens_score_two_thirds(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    rows = rows_with_argmax([0, 1, 2, 4, 3, 1])[2:5]
    score = make(STRICT)[0].score(probe("t_rel"), None, forced(rows, target=[2, 3, 3]))
    assert score.value == pytest.approx(2 / 3)
    assert score.n_scored == 3


def test_rows_shifted_by_one_score_one_third(forced: Callable[..., Answer], probe: Callable[..., Probe]) -> None:
    rows = rows_with_argmax([0, 1, 2, 4, 3, 1])[3:6]
    score = make(STRICT)[0].score(probe("t_rel"), None, forced(rows, target=[2, 3, 3]))
    assert score.value == pytest.approx(1 / 3)


def test_token_id_zero_counts_like_any_other() -> None:
    assert token_accuracy([0, 0, 0], [0, 0, 1]).value == pytest.approx(2 / 3)


def test_order_of_tokens_matters() -> None:
    assert token_accuracy([1, 2], [2, 1]).value == 0.0


def test_an_answer_equal_to_the_target_scores_one() -> None:
    assert token_accuracy([7, 7, 9, 0], [7, 7, 9, 0]).value == 1.0


def test_an_empty_target_is_unscored_with_a_reason() -> None:
    score = token_accuracy([], [])
    assert math.isnan(score.value)
    assert score.n_scored == 0
    assert "no token" in score.reason


@pytest.mark.parametrize("predicted", [[1, 2, 3], [1, 2, 3, 4, 5], []])
def test_another_number_of_predictions_than_targets_is_an_error(predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=f"{len(predicted)} predicted ids for 4 target ids"):
        token_accuracy(predicted, [1, 2, 3, 4])


def test_the_column_is_the_kind_for_every_recall_and_relation_probe() -> None:
    metric = make(STRICT)[0]
    assert metric.roles == ("recall", "relation")
    assert [metric.column(kind) for kind in KINDS] == [kind.name for kind in KINDS]


@pytest.mark.parametrize("switches", [STRICT, PAPER])
def test_labels_follow_the_protocol(switches: Switches) -> None:
    assert make(switches)[0].ask.labels == switches.labels
    assert make(replace(switches, labels="alone"))[0].ask.labels == "alone"


def test_accuracy_needs_no_reference_model() -> None:
    assert make(PAPER)[0].reference is None


def test_batched_answers_score_like_single_ones(probe: Callable[..., Probe], forced: Callable[..., Answer]) -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(4, 6, 11))
    target = generator.integers(0, 11, size=(4, 6))
    metric = make(STRICT)[0]
    single = [metric.score(probe("i_rel"), None, forced(logits[i], target[i].tolist())).value for i in range(4)]
    assert single == pytest.approx((logits.argmax(axis=2) == target).mean(axis=1))
