"""What the catalogue knows of each thing, in the words in which it is asked for."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
# of these a mirror image is another thing
DIRECTIONAL = {
    "arrow",
    "keycap",
    "alphanum",
    "math",
    "punctuation",
    "currency",
    "time",
    "flag",
    "country-flag",
    "zodiac",
}
DIRECTIONAL |= {
    "subdivision-flag",
    "road-sign",
    "semaphore",
    "av-symbol",
    "hand-fingers-open",
    "hand-fingers-partial",
    "religion",
}
DIRECTIONAL |= {
    "hand-single-finger",
    "hand-fingers-closed",
    "hands",
    "other-symbol",
    "transport-sign",
    "emergency",
    "face-tongue",
}
SEVERAL = {"family", "person-symbol", "people"}


@dataclass(frozen=True)
class Thing:
    """One thing: its name, its kind, its facts, and what it means if it is a sign or gesture."""

    number: int
    key: str
    name: str
    subgroup: str
    category: str
    noun: str
    facts: dict[str, Any]
    meaning_kind: str
    meaning: str
    trained: tuple[str, ...]
    held_out: str | None

    @property
    def may_be_mirrored(self) -> bool:
        """Whether its mirror image is still the same thing."""
        return self.subgroup not in DIRECTIONAL and "left" not in self.name and "right" not in self.name

    @property
    def may_be_counted(self) -> bool:
        """Whether a picture of it shows one thing."""
        return self.subgroup not in SEVERAL and not self.name.startswith(("two ", "women ", "men ", "people "))


class Picture(NamedTuple):
    """One drawing: which thing, whose drawing, and its main colour if it has one."""

    thing: int
    style: str
    colour: str


def read_table(name: str) -> dict[str, Any]:
    """Read one of the recipe's TOML tables."""
    return tomllib.loads((HERE / name).read_text())


def load_things(catalogue: Path) -> list[Thing]:
    """Return the catalogue's things, numbered in its order."""
    categories = read_table("categories.toml")
    meanings = {
        name: (kind, text) for kind, table in read_table("meanings.toml").items() for name, text in table.items()
    }
    things = []
    for number, entry in enumerate(json.loads(catalogue.read_text())["things"]):
        kind, meaning = meanings.get(entry["name"], ("", ""))
        if entry["group"] == "signs":
            kind = "letter" if entry["subgroup"] == "semaphore" else "warning"
            meaning = entry["facts"]["meaning"]
        category, noun = categories[entry["subgroup"]]
        things.append(
            Thing(
                number=number,
                key=entry["key"],
                name=entry["name"],
                subgroup=entry["subgroup"],
                category=category,
                noun=noun,
                facts=spoken_facts(entry["facts"]) if entry["subgroup"] == "country-flag" else {},
                meaning_kind=kind,
                meaning=meaning,
                trained=tuple(entry["trained"]),
                held_out=entry["held_out"],
            )
        )
    return things


def spoken_facts(facts: dict[str, Any]) -> dict[str, str]:
    """Return a country's facts as short answers; what is unknown or takes a list is left out."""
    if "country" not in facts:
        return {}
    languages = facts["languages"]
    spoken = {name: facts[name] for name in ("country", "capital", "continent", "currency", "subregion", "demonym")}
    spoken["language"] = " and ".join(languages) if len(languages) <= 2 else ""
    spoken["landlocked"] = "no" if facts["landlocked"] else "yes"
    return {name: text for name, text in spoken.items() if text}
