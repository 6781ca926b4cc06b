"""A record's cost as a line of JSON: back as it was written, and no line of another form."""

import json

import pytest

from mmke.results.timings import TimedRecord, Timing, from_line, to_line


def test_a_cost_comes_back_as_it_was_written(timing: Timing) -> None:
    record = TimedRecord("entity-00001", 3, timing)
    assert from_line(to_line(record)) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "3"}, "not a text and a number"),
        ({"seconds": 3}, "seconds is 3, not an object"),
        ({"seconds": {"edit": 1.0, "before": 0.0, "after": None}}, "seconds are None, not a number"),
        ({"seconds": {"edit": 1.0}}, "missing keys"),
        ({"peak_memory_bytes": "much"}, "peak_memory_bytes is 'much', not a number or null"),
        ({"memory": "disk"}, "memory is 'disk', not one of rss"),
        ({"peak_memory_bytes": float("nan")}, "NaN is no number"),
    ],
)
def test_a_line_that_is_no_cost_says_what_is_wrong(timing: Timing, change: dict[str, object], message: str) -> None:
    plain = json.loads(to_line(TimedRecord("entity-00001", 3, timing))) | change
    with pytest.raises((ValueError, TypeError), match=message):
        from_line(json.dumps(plain).encode())
