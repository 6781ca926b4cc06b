"""The fresh sets and the distractors of `recipes/fresh`: they show, edit and ask nothing of a mini benchmark.

The second set shows, edits and asks nothing of the first either.

By their manifests, since the pictures are not committed.
"""

import csv
import hashlib
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.benchmarks import embedded
from mmke.build.user_words import read_user_words

RECIPE = Path(__file__).parents[2] / "recipes/fresh"
KINDS = ("entity", "visual", "user")
SETS = ("", "-2")
DISTRACTORS = ("distractors", "distractors-2")
DIGITS = 16


def fresh(which: str = "") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RECIPE / f"manifest{which}.json").read_text(encoding="utf-8"))
    return loaded


def table(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


def facts(which: str) -> list[str]:
    with (RECIPE / f"text{which}/facts.csv").open(encoding="utf-8", newline="") as file:
        return [row["question"] for row in csv.DictReader(file)]


def distractors(name: str) -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = json.loads((RECIPE / f"{name}.json").read_text(encoding="utf-8"))["things"]
    return loaded


def all_distractors() -> list[tuple[str, dict[str, str]]]:
    return [each for name in DISTRACTORS for each in distractors(name).items()]


@cache
def mini() -> list[dict[str, Any]]:
    files = sorted((embedded.FOLDER / "data_json").glob("*.json"))
    return [record for file in files for record in json.loads(file.read_text(encoding="utf-8"))]


def shown_by_mini() -> dict[str, set[str]]:
    """Return the keys of the things in each picture of the mini benchmarks."""
    manifest = json.loads((embedded.FOLDER / "data_image/manifest.json").read_text(encoding="utf-8"))
    return {path: {part["thing"] for part in parts} for path, parts in manifest["pictures"].items()}


def names(record: dict[str, Any]) -> set[str]:
    """Return what a mini record edits, says, sets beside or asks about."""
    told = [record["tags"].get(tag, "") for tag in ("subject", "becomes", "beside")]
    return {plain(name) for name in (*told, record["m_loc_a"])}


def plain(name: str) -> str:
    return name.lower().removeprefix("flag of ")


def test_no_thing_is_shown_by_a_mini_benchmark() -> None:
    keys = {
        *(key for which in SETS for key in fresh(which)["things"].values()),
        *(each["key"] for _, each in all_distractors()),
    }
    assert keys & set().union(*shown_by_mini().values()) == set()


def test_no_thing_has_the_name_of_one_in_a_mini_benchmark() -> None:
    known = set().union(*map(names, mini()))
    ours = (*(name for which in SETS for name in fresh(which)["things"]), *(name for name, _ in all_distractors()))
    assert {name for name in ours if plain(name) in known} == set()


@pytest.mark.parametrize("name", DISTRACTORS)
def test_distractors_are_a_thousand_things_of_their_own_with_a_picture_each(name: str) -> None:
    found = distractors(name)
    assert len(found) == len({each["key"] for each in found.values()}) == 1000
    assert len({each["pixels"] for each in found.values()}) == 1000
    assert {each["key"] for each in found.values()} & set(fresh()["things"].values()) == set()
    assert set(map(plain, found)) & set(map(plain, fresh()["things"])) == set()
    assert {each["pixels"] for each in found.values()} & set(fresh()["pictures"].values()) == set()


@pytest.mark.parametrize("which", SETS)
def test_no_unrelated_fact_is_asked_by_a_mini_benchmark(which: str) -> None:
    assert len(facts(which)) >= 60
    assert set(facts(which)) & {record["loc"] for record in mini()} == set()


@pytest.mark.parametrize("which", SETS)
def test_each_kind_has_at_least_sixty_records(which: str) -> None:
    assert {f"{kind}_eval" for kind in KINDS} == set(fresh(which)["records"])
    assert min(fresh(which)["records"].values()) >= 60


def test_the_second_set_shows_names_and_asks_nothing_of_the_first() -> None:
    first, second = fresh(), fresh("-2")
    assert set(first["things"].values()) & set(second["things"].values()) == set()
    assert set(map(plain, first["things"])) & set(map(plain, second["things"])) == set()
    assert set(first["pictures"].values()) & set(second["pictures"].values()) == set()
    assert set(facts("")) & set(facts("-2")) == set()


def test_the_users_of_the_second_set_have_other_names_and_tell_other_values_than_those_of_the_first() -> None:
    theirs = read_user_words({}, place="").model_dump()
    ours = read_user_words(table(RECIPE / "text-2/words.toml")["user_words"], place="").model_dump()
    for name, values in theirs["lists"].items():
        # Nobody of the second set tells what was studied.
        assert name == "subjects" or set(values) & set(ours["lists"][name]) == set(), name
    people = [
        {f"{given} {family}" for each in words["names"] for given in each["given"] for family in each["family"]}
        for words in (theirs, ours)
    ]
    assert people[0] & people[1] == set()


@pytest.mark.parametrize("which", SETS)
def test_the_training_records_are_those_of_the_mini_benchmarks(which: str) -> None:
    for kind in KINDS:
        file = embedded.FOLDER / "data_json" / f"{kind}_train.json"
        assert fresh(which)["files"][file.name] == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("which", SETS)
def test_the_manifest_is_of_the_written_things(which: str) -> None:
    text = RECIPE / f"text{which}"
    found = {name for file in text.glob("*/*.toml") for name in table(file)["things"]}
    for name in ("user", "spares"):
        found |= {name for things in table(text / f"{name}.toml").values() for name in things}
    found |= set(table(text / "countries.toml")["names"])
    assert found == set(fresh(which)["things"])


def test_no_picture_is_in_both_lists_of_distractors() -> None:
    first, second = ({each["pixels"] for each in distractors(name).values()} for name in DISTRACTORS)
    assert first & second == set()


@pytest.mark.slow
def test_no_picture_is_one_of_a_mini_benchmark() -> None:
    def pixels(path: str) -> str:
        with Image.open(embedded.FOLDER / "data_image" / path) as picture:
            return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()[:DIGITS]

    ours = {
        *(each for which in SETS for each in fresh(which)["pictures"].values()),
        *(each["pixels"] for _, each in all_distractors()),
    }
    assert ours & set(map(pixels, shown_by_mini())) == set()
