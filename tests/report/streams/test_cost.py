"""What a stream costs, by decade of the number of edits."""

import pytest
from stream_kit import step

from mmke.report.streams.cost import cost_of, decade
from mmke.results.finished import FinishedRecord
from mmke.results.rows import RecordKey
from mmke.results.timings import Timing


def record(state: int, seconds: float, peak: int = 0) -> FinishedRecord:
    timing = Timing({"edit": 0.0, "before": 0.0, "after": seconds}, peak, "rss")
    return FinishedRecord(RecordKey("a", "stream", state, 0), (), timing)


def test_decades_begin_at_one() -> None:
    assert [str(decade(state)) for state in (1, 10, 11, 100, 101, 1000, 1001)] == [
        *("1–10", "1–10", "11–100", "11–100", "101–1000", "101–1000", "1001–10000")
    ]


def test_seconds_are_medians_of_each_decade_with_the_ratio_of_the_last_to_the_first() -> None:
    steps = [step(state, seconds) for state, seconds in [(1, 9.0), (2, 1.0), (3, 1.0), (50, 2.0), (100, 4.0)]]
    found = cost_of(steps, [record(1, 0.5), record(20, 0.25)])
    assert {str(each): value for each, value in found.apply.decades.items()} == {"1–10": 1.0, "11–100": 3.0}
    assert found.apply.ratio == 3.0
    assert found.record.ratio == 0.5


def test_bytes_and_seconds_of_a_growing_state_are_a_line_by_least_squares() -> None:
    steps = [step(state, 0.1 + 0.002 * state, state_bytes=500 + 30 * state) for state in (1, 2, 5, 40)]
    found = cost_of(steps, [])
    assert (found.state.slope, found.state.intercept) == (pytest.approx(30.0), pytest.approx(500.0))
    assert (found.apply.slope, found.apply.intercept) == (pytest.approx(0.002), pytest.approx(0.1))
    assert found.grows


@pytest.mark.parametrize("sizes", [(1000, 1000, 1000), (1000, 1001, 1002)])
def test_a_state_of_nearly_the_same_size_does_not_grow(sizes: tuple[int, ...]) -> None:
    found = cost_of([step(state, state_bytes=size) for state, size in zip((1, 10, 100), sizes, strict=True)], [])
    assert not found.grows


def test_memory_is_the_highest_peak_of_steps_and_records() -> None:
    found = cost_of([step(1, peak=5), step(11, peak=2)], [record(2, 0.1, peak=7), record(30, 0.1, peak=3)])
    assert {str(each): value for each, value in found.memory.decades.items()} == {"1–10": 7, "11–100": 3}
    assert found.kind == "rss"


def test_steps_of_distractors_count_for_bytes_and_not_for_seconds() -> None:
    found = cost_of([step(1, 9.0, state_bytes=10, distractors=True), step(2, 1.0, state_bytes=20)], [])
    assert list(found.apply.decades.values()) == [1.0]
    assert found.state.slope == 10.0


def test_a_stream_without_steps_and_timings_has_no_cost() -> None:
    found = cost_of([], [])
    assert not found.apply.decades
    assert found.as_dict()["state_bytes"] == {"decades": [], "ratio": None, "per_edit": None, "at_no_edit": None}
    assert not found.grows
