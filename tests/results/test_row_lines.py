"""A row as a line of JSON: the same bytes for the same score, and the same score back."""

import json
import math
from collections.abc import Callable

import pytest

from mmke.results.rows import RowLine, parse_row, row_line, to_row
from mmke.types import ScoreRow, StoredAnswer

Row = Callable[..., ScoreRow]


def line_of(row: ScoreRow) -> bytes:
    return row_line(row, rows=3, before=None, after=0)


def test_a_row_comes_back_as_it_was_written(row: Row) -> None:
    said = StoredAnswer("", (), None)
    for written in (row(), row(before=said), row(value=None, reason="why", probe=None), row(order_seed=4, position=0)):
        line = row_line(written, rows=3, before=None if written.before is None else 1, after=0)
        assert to_row(parse_row(line), [written.after or said, said]) == written


def test_a_row_without_its_answers_is_the_same_score(row: Row) -> None:
    back = to_row(parse_row(line_of(row())))
    assert (back.after, back.value, back.floor) == (None, 0.5, 0.25)


def test_keys_stand_in_one_order_and_name_the_record_with_its_number_of_rows(row: Row) -> None:
    plain = json.loads(line_of(row(position=1)))
    assert list(plain) == list(RowLine.__annotations__)
    assert "position" not in json.loads(line_of(row()))
    assert (plain["case_id"], plain["schedule"], plain["edits_applied"], plain["rows"]) == (
        "entity-00001",
        "single",
        1,
        3,
    )


def test_notes_in_another_order_give_the_same_bytes(row: Row) -> None:
    assert line_of(row(notes={"a": 1, "b": 2})) == line_of(row(notes={"b": 2, "a": 1}))


@pytest.mark.parametrize(("value", "text"), [(1 / 3, "0.333333"), (2 / 3, "0.666667"), (-1e-9, "0.0"), (1.0, "1.0")])
def test_numbers_are_rounded_to_six_decimals(row: Row, value: float, text: str) -> None:
    assert f'"value":{text},'.encode() in line_of(row(value=value))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_written_as_null_with_a_reason(row: Row, value: float) -> None:
    line = line_of(row(value=value, floor=value))
    back = to_row(parse_row(line))
    assert (back.value, back.floor, back.reason) == (None, None, f"the score is {value}")
    assert not {b"NaN", b"Infinity"} & set(line.replace(b":", b",").split(b","))


def test_the_reason_that_a_metric_gave_is_kept(row: Row) -> None:
    assert to_row(parse_row(line_of(row(value=math.nan, reason="no token")))).reason == "no token"


def test_a_lone_surrogate_survives(row: Row) -> None:
    line = line_of(row(case_id="half \ud83d a pair"))
    assert line.decode("utf-8")
    assert parse_row(line)["case_id"] == "half \ud83d a pair"


def test_fields_of_a_later_version_are_kept(row: Row) -> None:
    later = json.dumps(json.loads(line_of(row())) | {"colour": ["red"]}).encode()
    back = to_row(parse_row(later))
    assert back.more == {"colour": ["red"]}
    assert json.loads(line_of(back))["colour"] == ["red"]


def test_a_kind_and_a_metric_of_another_package_are_read(row: Row) -> None:
    assert to_row(parse_row(line_of(row(kind="a_kind", metric="a_kind_x")))).kind == "a_kind"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "0.5"}, "value: Input should be a valid number, not '0.5'"),
        ({"notes": None}, "notes: Input should be a valid dictionary, not None"),
        ({"probe": -1}, "probe: Input should be greater than or equal to 0, not -1"),
        ({"rows": 0}, "rows: Input should be greater than 0, not 0"),
    ],
)
def test_a_line_that_is_no_row_says_what_is_wrong(row: Row, change: dict[str, object], message: str) -> None:
    plain = json.loads(line_of(row())) | change
    with pytest.raises(ValueError, match=message):
        parse_row(json.dumps(plain).encode())


def test_a_missing_field_is_named(row: Row) -> None:
    plain = json.loads(line_of(row()))
    del plain["metric"]
    with pytest.raises(ValueError, match="metric: Field required"):
        parse_row(json.dumps(plain).encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_json_has_no_number_for_is_an_error(row: Row, number: str) -> None:
    line = line_of(row(value=0.5)).replace(b'"value":0.5', f'"value":{number}'.encode())
    with pytest.raises(ValueError, match=number):
        parse_row(line)


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_what_is_no_json_object_is_an_error(line: bytes) -> None:
    with pytest.raises((ValueError, TypeError), match="JSON"):
        parse_row(line)
