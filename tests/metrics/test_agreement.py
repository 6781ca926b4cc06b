"""Locality as agreement: the published arithmetic, the top-1 protocol and what stands beside."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mmke.benchmarks.probes.published import KINDS
from mmke.metrics.agreement import make, rank_agreement, set_overlap
from mmke.types import PAPER, STRICT, Answer, Metric, Probe, Switches

FT_PAPER = replace(PAPER, reference="previous edit")
IKE_PAPER = replace(PAPER, locality_positions="answer")
DESCENDING = [list(range(11, -1, -1))]
SWAPPED = [[11, 9, 10, *range(8, -1, -1)]]
TENTH_REPLACED = [[*range(11, 2, -1), 1, 2, 0]]
FIRST_REMOVED = [[-1, *range(10, -1, -1)]]


def columns(switches: Switches) -> list[str]:
    return [metric.column(kind) for metric in make(switches) for kind in KINDS if kind.role in metric.roles]


def named(switches: Switches, column: str) -> Metric:
    return next(m for m in make(switches) for kind in KINDS if kind.role in m.roles and m.column(kind) == column)


@pytest.mark.parametrize(
    ("after", "expected"), [(SWAPPED, 0.8), (TENTH_REPLACED, 0.9), (FIRST_REMOVED, 0.0), (DESCENDING, 1.0)]
)
def test_published_image_locality_compares_ten_ranks_one_by_one(
    forced: Callable[..., Answer], probe: Callable[..., Probe], after: list[list[float]], expected: float
) -> None:
    score = named(PAPER, "i_loc").score(probe("i_loc"), forced(DESCENDING), forced(after))
    assert score.value == pytest.approx(expected)
    assert score.n_scored == 10


@pytest.mark.parametrize(("after", "expected"), [(SWAPPED, 1.0), (TENTH_REPLACED, 0.9), (FIRST_REMOVED, 0.9)])
def test_set_overlap_does_not_mind_the_order(
    forced: Callable[..., Answer], probe: Callable[..., Probe], after: list[list[float]], expected: float
) -> None:
    metric = named(STRICT, "i_loc_top10")
    assert metric.score(probe("i_loc"), forced(DESCENDING), forced(after)).value == pytest.approx(expected)


@pytest.mark.parametrize(("after", "expected"), [(SWAPPED, 1.0), (FIRST_REMOVED, 0.0)])
@pytest.mark.parametrize("kind", ["t_loc", "i_loc"])
def test_strict_agreement_sees_the_first_token_alone(
    forced: Callable[..., Answer],
    probe: Callable[..., Probe],
    kind: str,
    after: list[list[float]],
    expected: float,
) -> None:
    score = named(STRICT, kind).score(probe(kind), forced(DESCENDING), forced(after))
    assert score.value == expected
    assert score.n_scored == 1


def test_published_text_locality_sees_the_first_token_alone(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    assert named(PAPER, "t_loc").score(probe("t_loc"), forced(DESCENDING), forced(SWAPPED)).value == 1.0


def test_a_changed_prompt_position_counts_over_all_positions_but_not_over_the_answers(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    before = np.eye(12)[[3, 4, 5]]
    after = np.eye(12)[[7, 4, 5]]
    everywhere = named(PAPER, "t_loc").score(probe("t_loc"), forced(before), forced(after))
    answers = named(IKE_PAPER, "t_loc").score(probe("t_loc"), forced(before[1:2]), forced(after[1:2]))
    assert everywhere.value == pytest.approx(2 / 3)
    assert answers.value == 1.0


@pytest.mark.parametrize(("positions", "kind", "entries"), [(3, "t_loc", 3), (3, "i_loc", 30), (5, "i_loc", 50)])
def test_published_entries_are_positions_times_ranks(
    forced: Callable[..., Answer], probe: Callable[..., Probe], positions: int, kind: str, entries: int
) -> None:
    answer = forced(np.random.default_rng(0).normal(size=(positions, 20)))
    assert named(PAPER, kind).score(probe(kind), answer, answer).n_scored == entries


@pytest.mark.parametrize("switches", [STRICT, PAPER, IKE_PAPER])
@pytest.mark.parametrize("seed", range(3))
def test_a_model_compared_with_itself_scores_one_in_every_protocol(
    forced: Callable[..., Answer], probe: Callable[..., Probe], switches: Switches, seed: int
) -> None:
    answer = forced(np.random.default_rng(seed).normal(size=(4, 30)))
    for metric in make(switches):
        assert [metric.score(probe(kind), answer, answer).value for kind in ("t_loc", "i_loc")] == [1.0, 1.0]


def test_agreement_is_the_same_either_way_round_and_in_any_order_of_positions(
    forced: Callable[..., Answer],
) -> None:
    generator = np.random.default_rng(5)
    a, b = (forced(generator.normal(size=(6, 14))).top_ids for _ in range(2))
    order = generator.permutation(6)
    for compare in (rank_agreement, set_overlap):
        assert compare(a, b) == compare(b, a) == compare(a[order], b[order])


def test_set_overlap_is_the_mean_over_positions_of_shared_ids(forced: Callable[..., Answer]) -> None:
    generator = np.random.default_rng(6)
    a, b = (forced(generator.normal(size=(6, 25))).top_ids for _ in range(2))
    shared = [len(set(x) & set(y)) / 10 for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert set_overlap(a, b).value == pytest.approx(sum(shared) / 6)


def test_strict_columns_are_agreement_and_top_ten() -> None:
    assert columns(STRICT) == ["t_loc", "i_loc", "t_loc_top10", "i_loc_top10"]


def test_the_published_protocol_puts_the_base_beside_the_previous_edit() -> None:
    assert columns(FT_PAPER) == ["t_loc", "i_loc", "t_loc_base", "i_loc_base"]
    assert [m.reference for m in make(FT_PAPER)] == ["previous edit", "base"]


def test_an_editor_without_a_previous_edit_gets_one_comparison() -> None:
    assert columns(IKE_PAPER) == ["t_loc", "i_loc"]
    assert make(IKE_PAPER)[0].reference == "base"


def test_all_agreement_metrics_of_a_protocol_ask_one_question() -> None:
    for switches in (STRICT, PAPER, FT_PAPER):
        assert len({m.ask for m in make(switches)}) == 1


def test_the_published_question_takes_all_positions_in_native_precision() -> None:
    ask = make(PAPER)[0].ask
    assert (ask.positions, ask.native_topk, ask.labels, ask.logprobs) == ("all", True, "alone", False)
    assert make(IKE_PAPER)[0].ask.positions == "answer"


def test_answers_with_different_positions_are_an_error(
    forced: Callable[..., Answer], probe: Callable[..., Probe]
) -> None:
    with pytest.raises(ValueError, match="2 positions and the edited model at 3"):
        make(STRICT)[0].score(probe("t_loc"), forced(np.eye(12)[:2]), forced(np.eye(12)[:3]))


def test_a_missing_reference_answer_is_an_error(forced: Callable[..., Answer], probe: Callable[..., Probe]) -> None:
    with pytest.raises(ValueError, match="reference model's answer is missing"):
        make(STRICT)[0].score(probe("t_loc"), None, forced(np.eye(12)))


def test_fewer_ids_than_ranks_are_an_error(forced: Callable[..., Answer], probe: Callable[..., Probe]) -> None:
    few = forced(np.eye(12), top=3)
    with pytest.raises(ValueError, match="needs 10 ids per position, got 3 and 3"):
        named(PAPER, "i_loc").score(probe("i_loc"), few, few)


@pytest.mark.parametrize("switches", [STRICT, PAPER])
def test_an_answer_without_positions_is_unscored_with_a_reason(
    forced: Callable[..., Answer],
    probe: Callable[..., Probe],
    written: Callable[..., Answer],
    switches: Switches,
) -> None:
    for metric in make(switches):
        score = metric.score(probe("i_loc"), written(""), written(""))
        assert math.isnan(score.value)
        assert "no position" in score.reason
