"""A record's cost as a line of JSON: back as it was written, and no line of another form."""

import json
from dataclasses import replace

import pytest

from mmke.results.rows import RecordKey
from mmke.results.timings import Peak, TimedRecord, Timing, parse_timing, timing_line

KEY = RecordKey("entity-00001", "single", 1, None)


def test_a_cost_comes_back_as_it_was_written(timing: Timing) -> None:
    on_gpu = replace(timing, memory="cuda reserved", peaks={"edit": Peak(3, 2)})
    for record in (TimedRecord(KEY, timing), TimedRecord(KEY, on_gpu)):
        assert parse_timing(timing_line(record)) == record


def test_a_line_of_the_first_format_names_the_case_alone(timing: Timing) -> None:
    plain = json.loads(timing_line(TimedRecord(KEY, timing)))
    first = {key: value for key, value in plain.items() if key not in ("schedule", "edits_applied", "order_seed")}
    found = parse_timing(json.dumps(first | {"rows": 3}).encode())
    assert (found.key.case_id, found.rows) == ("entity-00001", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "3"}, "rows: Input should be a valid integer, not '3'"),
        ({"seconds": 3}, "seconds: Input should be a valid dictionary, not 3"),
        ({"seconds": {"edit": 1.0, "before": 0.0, "after": None}}, r"seconds.after: .*, not None"),
        ({"seconds": {"edit": 1.0}}, "seconds.before: Field required"),
        ({"peak_memory_bytes": "much"}, "peak_memory_bytes: .*, not 'much'"),
        ({"memory": "disk"}, "memory: Input should be 'rss'"),
        ({"peak_memory_bytes": float("nan")}, "NaN is no number"),
    ],
)
def test_a_line_that_is_no_cost_says_what_is_wrong(timing: Timing, change: dict[str, object], message: str) -> None:
    plain = json.loads(timing_line(TimedRecord(KEY, timing))) | change
    with pytest.raises((ValueError, TypeError), match=message):
        parse_timing(json.dumps(plain).encode())
