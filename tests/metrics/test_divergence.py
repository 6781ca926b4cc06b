"""KL(before, after) in nats against the oracle, its direction and its edges."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mmke.benchmarks.probes.published import I_LOC, T_LOC
from mmke.metrics import agreement, divergence
from mmke.metrics.divergence import make, mean_kl
from mmke.types import PAPER, STRICT, Answer, Probe


def test_the_mean_kl_of_the_oracle_is_in_nats(forced: Callable[..., Answer], probe: Callable[..., Probe]) -> None:
    before, after = forced([[0, 0], [0, 0]]), forced([[0, 0], [math.log(3), 0]])
    score = make(STRICT)[0].score(probe("t_loc"), before, after)
    assert score.value == pytest.approx(0.0719205, abs=1e-6)
    assert score.n_scored == 2


def test_the_direction_is_before_to_after(forced: Callable[..., Answer], probe: Callable[..., Probe]) -> None:
    before, after = forced([[math.log(3), 0], [0, 0]]), forced([[0, 0], [0, 0]])
    assert make(STRICT)[0].score(probe("t_loc"), before, after).value == pytest.approx(0.0654059, abs=1e-6)


def test_a_model_compared_with_itself_diverges_by_exactly_zero(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    answer = forced(np.random.default_rng(1).normal(size=(5, 40)))
    assert make(STRICT)[0].score(probe("i_loc"), answer, answer).value == 0.0


def test_the_sum_matches_the_formula_in_double_precision(forced: Callable[..., Answer]) -> None:
    generator = np.random.default_rng(2)
    a, b = (forced(generator.normal(size=(7, 5000))).logprobs for _ in range(2))
    old, new = a.astype(np.float64), b.astype(np.float64)
    assert mean_kl(a, b) == pytest.approx((np.exp(old) * (old - new)).sum(axis=1).mean(), rel=1e-12)


def test_the_order_of_positions_does_not_matter(forced: Callable[..., Answer]) -> None:
    generator = np.random.default_rng(4)
    a, b = (forced(generator.normal(size=(6, 9))).logprobs for _ in range(2))
    order = generator.permutation(6)
    assert mean_kl(a, b) == pytest.approx(mean_kl(a[order], b[order]), rel=1e-12)


def test_a_token_that_the_reference_rules_out_adds_nothing() -> None:
    with np.errstate(divide="ignore"):
        before, after = np.log(np.float32([[0.0, 1.0]])), np.log(np.float32([[0.5, 0.5]]))
    assert mean_kl(before, after) == pytest.approx(math.log(2))


def test_a_token_that_the_edited_model_rules_out_leaves_the_probe_unscored(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    before, after = forced([[0, 0]]), forced([[0, -math.inf]])
    score = make(STRICT)[0].score(probe("t_loc"), before, after)
    assert math.isnan(score.value)
    assert "inf" in score.reason


def test_the_published_protocol_has_no_divergence() -> None:
    assert make(PAPER) == ()


def test_agreement_and_divergence_ask_the_same_question() -> None:
    asks = {replace(m.ask, logprobs=True) for m in [*agreement.make(STRICT), *divergence.make(STRICT)]}
    assert asks == {make(STRICT)[0].ask}
    assert make(STRICT)[0].ask.logprobs


def test_columns_carry_the_suffix_kl() -> None:
    assert [make(STRICT)[0].column(kind) for kind in (T_LOC, I_LOC)] == ["t_loc_kl", "i_loc_kl"]


def test_answers_with_different_positions_are_an_error(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    with pytest.raises(ValueError, match="1 positions and the edited model at 2"):
        make(STRICT)[0].score(probe("t_loc"), forced([[0, 1]]), forced([[0, 1], [0, 1]]))


def test_answers_without_log_probabilities_are_an_error(
    probe: Callable[..., Probe], written: Callable[..., Answer]
) -> None:
    with pytest.raises(ValueError, match="logprobs=True"):
        make(STRICT)[0].score(probe("t_loc"), written("a"), written("a"))


def test_an_answer_without_positions_is_unscored_with_a_reason(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    empty = forced(np.zeros((0, 4)))
    score = make(STRICT)[0].score(probe("t_loc"), empty, empty)
    assert math.isnan(score.value)
    assert "no position" in score.reason
