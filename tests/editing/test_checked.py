"""Settings are checked as a whole: each wrong value is named with what it should be and where it stands."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, ValidationError

from mmke.editing.checked import EditorSettings, Finite, FromOne, FromZero, NotNegative, Positive, Share, Values, build
from mmke.editing.settings import read_changes, resolve
from mmke.errors import UserError


def short(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > 2:
        raise ValueError(f"names = {list(names)}; at most two")
    return names


class Settings(EditorSettings):
    names: Annotated[tuple[str, ...], AfterValidator(short)]
    learning_rate: Positive
    decay: NotNegative
    share: Share
    steps: FromZero
    rank: FromOne
    way: Literal["left", "right"]
    own: bool
    pair: tuple[Finite, Finite]
    bias: Finite


GOOD = {
    "names": ["a"],
    "learning_rate": 1,
    "decay": 0.0,
    "share": 0.5,
    "steps": 0,
    "rank": 1,
    "way": "left",
    "own": True,
    "pair": [1, 0.5],
    "bias": -1,
}


def told(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        build(Settings, {**GOOD, **changes}, editor="mine")
    return str(caught.value)


def test_good_values_become_settings_that_do_not_change() -> None:
    settings = build(Settings, GOOD, editor="mine")
    assert (settings.names, settings.learning_rate, settings.own) == (("a",), 1.0, True)
    assert isinstance(settings.learning_rate, float)
    with pytest.raises(ValidationError, match="frozen"):
        settings.rank = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("names", "a", 'names = \'a\' is no list, such as ["a", "b"]'),
        ("names", ["a", 1], 'names = [\'a\', 1] is no list, such as ["a", "b"]'),
        ("names", ["a", "b", "c"], "names = ['a', 'b', 'c']; at most two"),
        ("learning_rate", 0, "learning_rate = 0.0; it is a finite number above 0"),
        ("learning_rate", True, "learning_rate = True is no float"),
        ("decay", float("inf"), "decay = inf; it is a finite number, 0 or more"),
        ("decay", float("nan"), "decay = nan; it is a finite number, 0 or more"),
        ("share", 1.5, "share = 1.5; it is a share between 0 and 1"),
        ("steps", -1, "steps = -1; it counts from 0 up"),
        ("steps", 2.0, "steps = 2.0 is no int"),
        ("rank", "four", "rank = 'four' is no int"),
        ("way", "up", "way = 'up' is none of 'left', 'right'"),
        ("own", 1, "own = 1 is no bool"),
        ("pair", [1.0], "pair = [1.0] is no list of 2 finite numbers"),
        ("pair", [1.0, 2.0, 3.0], "pair = [1.0, 2.0, 3.0] is no list of 2 finite numbers"),
        ("pair", [1.0, float("nan")], "pair = [1.0, nan] is no list of 2 finite numbers"),
        ("bias", float("inf"), "bias = inf; it is a finite number"),
        ("stepps", 1, "unknown key 'stepps' (did you mean 'steps'?)"),
    ],
)
def test_a_wrong_value_is_told_with_what_it_should_be(key: str, value: Any, message: str) -> None:
    assert told(**{key: value}) == f"settings of mine: {message}"


def test_an_earlier_name_is_told_with_its_name_of_today() -> None:
    with pytest.raises(UserError, match=r"unknown key 'rate' \(it is called 'learning_rate' now\)"):
        build(Settings, {**GOOD, "rate": 1}, editor="ft-llm")
    assert "'rate' (known: " in told(rate=1)  # another editor never had this name


def test_all_problems_are_told_at_once() -> None:
    message = told(rank=0, steps=-1, way=3)
    assert all(part in message for part in ("rank = 0;", "steps = -1;", "way = 3 is none of"))


def test_a_missing_key_is_told() -> None:
    with pytest.raises(UserError, match="settings of mine: rank is missing"):
        build(Settings, {key: value for key, value in GOOD.items() if key != "rank"}, editor="mine")


def test_the_place_of_a_wrong_value_is_told() -> None:
    values = Values({**GOOD, "rank": 0}, {"rank": "--set mine.rank=0"})
    with pytest.raises(UserError, match=r"rank = 0; it counts from 1 up \(--set mine.rank=0\)$"):
        build(Settings, values, editor="mine")


def test_settings_remember_whether_a_file_or_an_option_said_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[ft-llm]\nsteps = 1\nlearning_rate = 0.5\n")
    changes = read_changes(["ft-llm.steps=2"], file)
    found = resolve("ft-llm", "smol-llava", changes["ft-llm"])
    assert (found["steps"], found["learning_rate"]) == (2, 0.5)
    assert found.sources["steps"] == "--set ft-llm.steps=2"
    assert found.sources["learning_rate"] == f"--settings {file}"
    assert found.sources["sites"] == "ft-llm.toml"
    assert resolve("ft-llm", "smol-llava", {}).sources["steps"] == "ft-llm.toml [backbone.smol-llava]"


def test_values_stand_in_a_record_as_plain_ones_do() -> None:
    @dataclass
    class Record:
        settings: dict[str, Any]

    assert asdict(Record(Values({"steps": 1}, {"steps": "here"}))) == {"settings": {"steps": 1}}
