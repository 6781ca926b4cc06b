"""Steps and states of a stream as lines of JSON: back as they were written, and no line of another form."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.results.states import STATES, StateRecord, parse_state, read_states, state_line
from mmke.results.steps import STEPS, StepRecord, parse_step, read_steps, step_line

STEP = StepRecord(
    step=0,
    edits_applied=2,
    cases=("a", "“b”\u2028"),
    refused={"a": "a picture cannot be read"},
    distractors=False,
    seconds=0.25,
    peak_memory_bytes=2_000_000,
    memory="rss",
    state_bytes=4096,
)
STATE = StateRecord(
    edits_applied=30,
    perplexity=12.5,
    perplexity_unedited=12.25,
    repeated=0.03125,
    agreement=0.75,
    finite=True,
    collapsed=None,
    warning="“perplexity”",
    step=29,
    more={"abilities": {"pope": 0.5}},
)


def test_a_step_comes_back_as_it_was_written() -> None:
    for step in (STEP, replace(STEP, peak_memory_bytes=None, state_bytes=None, more={"later": [1]})):
        assert parse_step(step_line(step)) == step


def test_a_state_comes_back_as_it_was_written() -> None:
    for state in (STATE, replace(STATE, agreement=None, step=None, collapsed="half of the answers are one token")):
        assert parse_state(state_line(state)) == state


def test_numbers_are_rounded_and_what_is_not_finite_is_null() -> None:
    wild = replace(STATE, perplexity=math.inf, agreement=math.nan, repeated=1 / 3)
    back = parse_state(state_line(wild))
    assert (back.perplexity, back.agreement, back.repeated) == (None, None, 0.333333)
    assert parse_step(step_line(replace(STEP, seconds=1 / 3))).seconds == 0.333333


def test_a_state_of_an_earlier_version_has_neither_warning_nor_step() -> None:
    plain = json.loads(state_line(STATE))
    del plain["warning"], plain["step"]
    assert parse_state(json.dumps(plain).encode()) == replace(STATE, warning=None, step=None)


@pytest.mark.parametrize(
    ("parse", "change", "message"),
    [
        (parse_step, {"step": -1}, "step: .*, not -1"),
        (parse_step, {"cases": "a"}, "cases: .*, not 'a'"),
        (parse_step, {"cases": [1]}, "cases.0: .*, not 1"),
        (parse_step, {"refused": ["a"]}, "refused: "),
        (parse_step, {"distractors": 0}, "distractors: .*, not 0"),
        (parse_step, {"seconds": None}, "seconds: .*, not None"),
        (parse_state, {"repeated": None}, "repeated: .*, not None"),
        (parse_state, {"perplexity": math.nan}, "NaN is no number"),
        (parse_state, {"finite": "yes"}, "finite: .*, not 'yes'"),
        (parse_state, {"collapsed": True}, "collapsed: .*, not True"),
        (parse_state, {"edits_applied": None}, "edits_applied: .*, not None"),
    ],
)
def test_a_line_of_another_form_says_what_is_wrong(
    parse: Callable[[bytes], object], change: dict[str, object], message: str
) -> None:
    line = step_line(STEP) if parse is parse_step else state_line(STATE)
    with pytest.raises(ValueError, match=message):
        parse(json.dumps(json.loads(line) | change).encode())


def test_half_a_line_at_the_end_is_passed_over(tmp_path: Path) -> None:
    steps = [replace(STEP, step=number) for number in range(2)]
    (tmp_path / STEPS).write_bytes(b"".join(map(step_line, steps)) + step_line(STEP)[:-1])
    (tmp_path / STATES).write_bytes(state_line(STATE) + state_line(STATE)[:9])
    assert list(read_steps(tmp_path)) == steps
    assert list(read_states(tmp_path)) == [STATE]


def test_a_folder_without_the_files_has_neither_steps_nor_states(tmp_path: Path) -> None:
    assert (read_steps(tmp_path), read_states(tmp_path)) == ((), ())


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / STEPS).write_bytes(step_line(STEP) + b"garbage\n")
    (tmp_path / STATES).write_bytes(b"[]\n" + state_line(STATE))
    with pytest.raises(UserError, match=rf"{STEPS}, line 2: not JSON"):
        read_steps(tmp_path)
    with pytest.raises(UserError, match=rf"{STATES}, line 1: a JSON object was expected"):
        read_states(tmp_path)


def test_a_step_that_is_missing_or_twice_there_is_named(tmp_path: Path) -> None:
    (tmp_path / STEPS).write_bytes(step_line(STEP) + step_line(replace(STEP, step=2)))
    with pytest.raises(UserError, match=f"{STEPS}, line 2: step 2 stands where step 1 belongs"):
        read_steps(tmp_path)
    (tmp_path / STATES).write_bytes(state_line(STATE) * 2)
    with pytest.raises(UserError, match=f"{STATES}, line 2: the state after 30 edits stands in two places"):
        read_states(tmp_path)
