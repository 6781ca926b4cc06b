"""The figures of a stream, on scores that can be worked out by hand."""

from statistics import stdev

import pytest

from mmke.report.estimates import average, difference, mean
from mmke.report.streams.curves import Asked, Bin, Track, age_bin, area, figures, half_life, over_floor, paired

EVERY = Asked(checkpoints=(1, 2, 3))


def oracle(floor: float | None = 0.1) -> dict[str, Track]:
    """Three cases, edited one by one and all asked in every state: [.9], [.6 .8], [.5 .7 1.0]."""
    return {
        "a": Track({1: 0.9, 2: 0.6, 3: 0.5}, 1, 3, floor),
        "b": Track({2: 0.8, 3: 0.7}, 2, 3, floor),
        "c": Track({3: 1.0}, 3, 3, floor),
    }


def value(estimate: object) -> float | None:
    return getattr(estimate, "value", None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("right", 0.9),
        ("final", 0.7333),
        ("forgetting", 0.25),
        ("backward_transfer", -0.25),
        ("drift", None),
    ],
)
def test_three_cases_in_three_states_give_the_figures_worked_out_by_hand(name: str, expected: float | None) -> None:
    assert value(getattr(figures(oracle(), EVERY), name)) == (
        None if expected is None else pytest.approx(expected, abs=5e-5)
    )


def test_the_areas_of_three_states_are_those_worked_out_by_hand() -> None:
    curve = figures(oracle(), EVERY).checkpoints
    assert value(area(curve, float)) == pytest.approx(0.7583, abs=5e-5)
    assert value(area(curve)) == pytest.approx(0.7692, abs=5e-5)


def test_the_curve_by_checkpoint_is_a_mean_over_the_cases_edited_so_far() -> None:
    curve = figures(oracle(), EVERY).checkpoints
    assert {state: each.value for state, each in curve.items()} == pytest.approx({1: 0.9, 2: 0.7, 3: 2.2 / 3})


def test_the_curve_by_age_pools_all_checkpoints() -> None:
    ages = figures(oracle(), EVERY).ages
    assert {str(age): each.value for age, each in ages.items()} == pytest.approx(
        {"0": 0.9, "1–3": (0.6 + 0.5 + 0.7) / 3}
    )


def test_ages_lie_in_bins_that_grow_threefold() -> None:
    bins = {age: str(age_bin(age)) for age in (0, 1, 3, 4, 10, 11, 30, 31, 100, 101, 300, 301, 1000, 1001)}
    assert list(dict.fromkeys(bins.values())) == [
        *("0", "1–3", "4–10", "11–30", "31–100", "101–300", "301–1000", "1001–3000")
    ]
    assert bins[3] == "1–3"
    assert bins[4] == "4–10"
    assert all(age_bin(age).low <= age <= age_bin(age).high for age in range(2000))


def test_gaps_alone_give_right_and_the_curve_by_gap_and_nothing_of_the_end() -> None:
    tracks = {"a": Track({1: 1.0, 3: 0.4}, 1, 2), "b": Track({2: 0.5, 4: 0.1}, 2, 2)}
    found = figures(tracks, Asked((), (0, 2), end=False))
    assert {gap: each.value for gap, each in found.gaps.items()} == {0: 0.75, 2: 0.25}
    assert value(found.right) == 0.75
    assert found.final is None  # only b was asked after the last scored case
    assert found.forgetting is None
    assert area(found.checkpoints) is None
    assert found.checkpoints == {}


def test_cases_of_one_batch_have_the_position_at_its_end() -> None:
    tracks = {
        "a": Track({2: 0.8, 4: 0.4}, 2, 4),
        "b": Track({2: 0.6, 4: 0.6}, 2, 4),
        "c": Track({4: 1.0}, 4, 4),
        "d": Track({4: 0.0}, 4, 4),
    }
    found = figures(tracks, Asked((2, 4)))
    assert value(found.right) == pytest.approx(0.6)
    assert value(found.final) == pytest.approx(0.5)
    assert value(found.forgetting) == pytest.approx(0.2)
    assert {str(age): each.value for age, each in found.ages.items()} == pytest.approx({"0": 0.6, "1–3": 0.5})


def test_where_the_stream_is_reset_every_case_ends_with_its_own_part() -> None:
    tracks = {
        "a": Track({1: 1.0, 2: 0.5}, 1, 2),
        "b": Track({2: 0.8}, 2, 2),
        "c": Track({1: 0.6, 2: 0.4}, 1, 2),
        "d": Track({2: 0.7}, 2, 2),
        "e": Track({1: 0.9}, 1, 1),
    }
    found = figures(tracks, Asked((2,)))
    assert value(found.final) == pytest.approx((0.5 + 0.8 + 0.4 + 0.7 + 0.9) / 5)
    assert value(found.forgetting) == pytest.approx((0.5 + 0.2) / 2)
    assert value(found.checkpoints[2]) == pytest.approx((0.5 + 0.8 + 0.4 + 0.7) / 4)


def test_distractors_count_in_the_state_and_not_in_the_age() -> None:
    tracks = {"a": Track({101: 0.9, 102: 0.5}, 101, 102), "b": Track({102: 0.7}, 102, 102)}
    found = figures(tracks, Asked((101, 102)))
    assert value(found.final) == pytest.approx(0.6)
    assert list(found.ages) == [Bin(0, 0), Bin(1, 3)]


def test_drift_is_of_the_state_before_the_cases_own_step() -> None:
    tracks = {"a": Track({0: 0.2, 1: 1.0}, 1, 2, 0.2), "b": Track({0: 0.3, 1: 0.1, 2: 1.0}, 2, 2, 0.3)}
    found = figures(tracks, EVERY)
    assert value(found.drift) == pytest.approx((0.0 - 0.2) / 2)
    assert value(found.checkpoints[1]) == 1.0  # b, which is not edited yet, is not part of it


def test_the_best_score_is_the_lowest_where_lower_is_better() -> None:
    tracks = {"a": Track({1: 0.1, 2: 0.5}, 1, 2), "b": Track({2: 0.3}, 2, 2)}
    assert value(figures(tracks, EVERY, higher_is_better=False).forgetting) == pytest.approx(0.4)


def test_the_unedited_model_is_flat_in_every_curve() -> None:
    found = figures({"a": Track({0: 0.2}, None, 3), "b": Track({0: 0.4}, None, 3)}, Asked((1, 2, 3), (2,)))
    levels = [
        found.right,
        found.final,
        *found.checkpoints.values(),
        *found.gaps.values(),
    ]
    assert [value(each) for each in levels] == [pytest.approx(0.3)] * 6
    assert found.forgetting is None


def test_an_editor_that_does_nothing_stays_at_the_floor_of_the_same_cases() -> None:
    idle = {case: track._replace(scores=dict.fromkeys(track.scores, 0.1)) for case, track in oracle().items()}
    found = figures(over_floor(idle), EVERY)
    levels = [found.right, found.final, found.forgetting, found.backward_transfer, area(found.checkpoints)]
    assert [value(each) for each in (*levels, *found.checkpoints.values(), *found.ages.values())] == [0.0] * 10


def test_half_life_is_the_first_state_with_half_of_the_first_gain() -> None:
    tracks = {"a": Track({1: 0.9, 10: 0.6, 100: 0.5}, 1, 100, 0.1), "b": Track({10: 0.6, 100: 0.4}, 10, 100, 0.1)}
    gains = figures(over_floor(tracks), Asked((1, 10, 100))).checkpoints
    assert half_life(gains) == 100  # gains .8, .5, .35
    assert half_life({1: gains[1], 10: gains[10]}) is None


def test_of_one_state_the_error_is_the_standard_error_of_the_mean() -> None:
    final = figures(oracle(), EVERY).final
    assert final is not None
    assert final.se == pytest.approx(stdev([0.5, 0.7, 1.0]) / 3**0.5)
    assert final.n == 3


def test_a_single_case_has_no_error() -> None:
    assert figures(oracle(), EVERY).checkpoints[1].se is None


def test_the_same_cases_in_two_orders_are_not_twice_as_many_cases() -> None:
    final = figures(oracle(), EVERY).final
    assert final is not None
    again = average([final, final])
    assert (again.value, again.se, again.n) == (pytest.approx(final.value), pytest.approx(final.se), 3)


def test_first_states_of_several_orders_have_an_error_from_their_different_cases() -> None:
    first = [mean([(case, score)]) for case, score in (("a", 0.2), ("b", 0.4), ("c", 0.9))]
    together = average([each for each in first if each is not None])
    assert (together.value, together.n) == (pytest.approx(0.5), 3)
    assert together.se == pytest.approx(stdev([0.2, 0.4, 0.9]) / 3**0.5)


def test_the_error_of_a_difference_is_paired() -> None:
    other = {
        case: track._replace(scores={state: score - 0.1 for state, score in track.scores.items()})
        for case, track in oracle().items()
    }
    left, right = figures(oracle(), EVERY).final, figures(other, EVERY).final
    assert left is not None
    assert right is not None
    apart = difference(left, right)
    assert apart.value == pytest.approx(0.1)
    assert apart.se == pytest.approx(0.0, abs=1e-12)


def test_an_area_has_an_error_where_each_state_has_two_cases() -> None:
    curve = {state: mean([("a", 0.2), ("b", 0.4)]) for state in (1, 10, 100)}
    known = {state: each for state, each in curve.items() if each is not None}
    whole = area(known)
    assert whole is not None
    assert (whole.value, whole.n) == (pytest.approx(0.3), 2)
    assert whole.se == pytest.approx(known[1].se)
    alone = area(figures(oracle(), EVERY).checkpoints)
    assert alone is not None
    assert alone.se is None  # one case alone was asked in the first state


def test_a_pair_has_the_cases_and_states_that_both_have() -> None:
    left, right = paired(oracle(), {"a": Track({1: 0.1, 3: 0.2}, 1, 3), "d": Track({3: 0.0}, 3, 3)})
    assert {case: track.scores for case, track in left.items()} == {"a": {1: 0.9, 3: 0.5}}
    assert {case: track.scores for case, track in right.items()} == {"a": {1: 0.1, 3: 0.2}}


def test_beside_the_unedited_model_a_pair_has_its_score_in_every_state() -> None:
    floor = {case: Track({0: 0.1}, None, 3) for case in "abc"}
    _, flat = paired(oracle(), floor)
    assert {case: track.scores for case, track in flat.items()} == {
        "a": {1: 0.1, 2: 0.1, 3: 0.1},
        "b": {2: 0.1, 3: 0.1},
        "c": {3: 0.1},
    }


def test_scores_of_one_case_in_several_states_are_not_independent() -> None:
    once = mean([("a", 0.0), ("b", 1.0)])
    thrice = mean([("a", 0.0), ("b", 1.0)] * 3)
    assert once is not None
    assert thrice is not None
    assert thrice.se == pytest.approx(once.se)
