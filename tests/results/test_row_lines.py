"""A row as a line of JSON: the same bytes for the same score, and the same score back."""

import json
import math
from collections.abc import Callable
from dataclasses import fields

import pytest

from mmke.results.rows import from_line, to_line
from mmke.types import Said, ScoreRow


def test_a_row_comes_back_as_it_was_written(row: Callable[..., ScoreRow]) -> None:
    for written in (row(), row(before=Said("", (), None), image="a.png"), row(value=None, reason="why", probe=None)):
        assert from_line(to_line(written)) == written


def test_a_row_is_one_line_whatever_its_texts_hold(row: Callable[..., ScoreRow]) -> None:
    line = to_line(row(question="one\ntwo\r\u2028three\x85four", target='"\\'))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert from_line(line).question == "one\ntwo\r\u2028three\x85four"


def test_keys_stand_in_the_order_of_the_record(row: Callable[..., ScoreRow]) -> None:
    assert list(json.loads(to_line(row()))) == [field.name for field in fields(ScoreRow)]


def test_tags_in_another_order_give_the_same_bytes(row: Callable[..., ScoreRow]) -> None:
    assert to_line(row(tags={"a": "1", "b": "2"})) == to_line(row(tags={"b": "2", "a": "1"}))
    assert to_line(row(notes={"a": 1, "b": 2})) == to_line(row(notes={"b": 2, "a": 1}))


@pytest.mark.parametrize(("value", "text"), [(1 / 3, "0.333333"), (2 / 3, "0.666667"), (-1e-9, "0.0"), (1.0, "1.0")])
def test_numbers_are_rounded_to_six_decimals(row: Callable[..., ScoreRow], value: float, text: str) -> None:
    assert f'"value":{text},'.encode() in to_line(row(value=value))
    assert f'"target_logprob":{text}}}'.encode() in to_line(row(after=Said("", (), value)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_written_as_null_with_a_reason(row: Callable[..., ScoreRow], value: float) -> None:
    line = to_line(row(value=value, floor=value, after=Said("", (), value)))
    back = from_line(line)
    assert (back.value, back.floor, back.after) == (None, None, Said("", (), None))
    assert back.reason == f"the score is {value}"
    assert not {b"NaN", b"Infinity"} & set(line.replace(b":", b",").split(b","))


def test_the_reason_that_a_metric_gave_is_kept(row: Callable[..., ScoreRow]) -> None:
    assert from_line(to_line(row(value=math.nan, reason="no token"))).reason == "no token"


def test_a_lone_surrogate_survives(row: Callable[..., ScoreRow]) -> None:
    line = to_line(row(target="half \ud83d a pair"))
    assert line.decode("utf-8")
    assert from_line(line).target == "half \ud83d a pair"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "0.5"}, "value is '0.5', not int or float or NoneType"),
        ({"kind": "t_port"}, "kind is 't_port', not one of"),
        ({"tags": None}, "tags is None, not dict"),
        ({"colour": 1}, r"unknown keys: \['colour'\]"),
        ({"after": {"text": "x"}}, r"missing keys: \['ids', 'target_logprob'\]"),
    ],
)
def test_a_line_that_is_no_row_says_what_is_wrong(
    row: Callable[..., ScoreRow], change: dict[str, object], message: str
) -> None:
    plain = json.loads(to_line(row())) | change
    with pytest.raises((ValueError, TypeError), match=message):
        from_line(json.dumps(plain).encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_json_has_no_number_for_is_an_error(row: Callable[..., ScoreRow], number: str) -> None:
    line = to_line(row(value=0.5)).replace(b'"value":0.5', f'"value":{number}'.encode())
    with pytest.raises(ValueError, match=number):
        from_line(line)


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_what_is_no_json_object_is_an_error(line: bytes) -> None:
    with pytest.raises((ValueError, TypeError), match="JSON"):
        from_line(line)
