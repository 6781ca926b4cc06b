"""Unrelated facts and pictures, from the benchmark `mini`, and things to stand beside an edited one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from catalogue import Catalogue, Thing
from choosing import Chooser
from tables import table

from mmke.build.wording import says

FACTS_SOURCE = "benchmark mini of mmke: SmolLM2-135M-Instruct knows it"
TYPES = {
    "animal-mammal": "mammal",
    "animal-bird": "bird",
    "animal-bug": "insect",
    "animal-marine": "sea animal",
    "animal-reptile": "reptile",
    "animal-amphibian": "amphibian",
    "food-fruit": "fruit",
    "food-vegetable": "vegetable",
    "food-prepared": "dish",
    "food-asian": "dish",
    "food-sweet": "dish",
    "drink": "drink",
    "country-flag": "country flag",
    "subdivision-flag": "country flag",
    "plant-flower": "plant",
    "plant-other": "plant",
    "sport": "sport",
    "clothing": "garment",
    "musical-instrument": "musical instrument",
    "tool": "tool",
    "transport-ground": "vehicle",
    "transport-water": "vehicle",
    "transport-air": "vehicle",
    "place-building": "building",
    "place-religious": "building",
}
"""Types by the catalogue's subgroups; of other subgroups the group's name counts."""


def records(benchmark: Path) -> Iterator[Mapping[str, Any]]:
    """Yield every record of the benchmark, always in the same order."""
    for path in sorted((benchmark / "data_json").glob("*.json")):
        yield from json.loads(path.read_text(encoding="utf-8"))


def facts(benchmark: Path) -> list[dict[str, str]]:
    """Return each unrelated fact once, without those whose question says the answer."""
    found = {
        record["loc"]: record["loc_ans"] for record in records(benchmark) if not says(record["loc"], record["loc_ans"])
    }
    return [{"question": question, "answer": answer, "source": FACTS_SOURCE} for question, answer in found.items()]


def unrelated(benchmark: Path, catalogue: Catalogue, *, package: Path, edited: set[str]) -> list[dict[str, str]]:
    """Return each unrelated thing that is not edited once, with its first picture and question."""
    folder = benchmark / "data_image"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["pictures"]
    by_key = {thing.key: thing for thing in catalogue.things.values()}
    found: dict[str, dict[str, str]] = {}
    for record in records(benchmark):
        thing = by_key[manifest[record["m_loc"]][0]["thing"]]
        if thing.name in edited:
            continue
        picture = (folder / record["m_loc"]).relative_to(package).as_posix()
        known = {"name": thing.name, "type": type_of(thing), "picture": picture}
        found.setdefault(thing.key, {**known, "question": record["m_loc_q"], "answer": record["m_loc_a"]})
    return list(found.values())


def companions(catalogue: Catalogue, chooser: Chooser, *, package: Path, taken: set[str]) -> Iterator[dict[str, str]]:
    """Yield the things of `companions.toml`, each with one picture and its name with an article.

    Args:
        catalogue: of all drawings.
        chooser: of their pictures.
        package: the folder of `mmke`.
        taken: names of things that are edited or asked about as unrelated ones.
    """
    for name, answer in table("companions.toml")["companions"].items():
        if name in taken:
            raise SystemExit(f"{name!r} is edited or unrelated, and cannot stand beside an edited thing")
        for drawn in chooser.choose(name, 1):
            picture = chooser.used[drawn].relative_to(package).as_posix()
            yield {"name": answer.split(" ", 1)[1], "type": type_of(catalogue.thing(name)), "answer": answer} | {
                "picture": picture
            }


def type_of(thing: Thing) -> str:
    """Return the type that the builder's source `mini` would give a thing."""
    return TYPES.get(thing.subgroup, thing.group)
