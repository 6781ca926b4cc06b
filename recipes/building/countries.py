"""Facts of countries, from the npm packages `world-countries` (ODbL 1.0) and `flag-icons` (MIT)."""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tables import Fact, Row, fact, table

PICTURES = Path(__file__).parents[1] / "pictures"
sys.path.append(str(PICTURES))

from fetch import folder_of  # noqa: E402

COUNTRIES, CONTINENTS = "world-countries@5.1.0", "flag-icons@7.5.0"
COUNTRIES_SOURCE = "npm package world-countries 5.1.0 (ODbL 1.0)"
CONTINENTS_SOURCE = "npm package flag-icons 7.5.0 (MIT)"
OF_A_COUNTRY = frozenset({"origin", "largest neighbour"})
"""Relations whose value is a country, of which capital and currency are known."""
LETTERS = str.maketrans({"ł": "l", "\N{MODIFIER LETTER APOSTROPHE}": "'", "\N{MODIFIER LETTER TURNED COMMA}": "'"})
WITH_ARTICLE = frozenset({"United States", "Netherlands", "United Kingdom"})


@dataclass(frozen=True)
class Knowledge:
    """What the packages and the table `further.toml` state."""

    countries: Mapping[str, Mapping[str, Any]]
    continents: Mapping[str, str]
    written: Mapping[str, Mapping[str, Mapping[str, str]]]

    def further(self, relation: str, value: str) -> list[Fact]:
        """Return the facts of a relation's value."""
        country = self.countries.get(value.removeprefix("the ")) if relation in OF_A_COUNTRY else None
        if country is not None:
            return self._stated(country)
        known = self.written.get(relation, {}).get(value, {})
        return [fact(name, each, _nothing) for name, each in known.items()]

    def rows(self, plain: Mapping[str, Any]) -> list[Row]:
        """Return the countries that a table such as `countries.toml` names."""
        return [self._row(name, plain["type"], plain["unstated"].get(name, ())) for name in plain["names"]]

    def _row(self, name: str, type_: str, unstated: Sequence[str]) -> Row:
        country = self.countries[name]
        values = {
            "capital": country["capital"][0],
            "currency": _currency(country),
            "language": _only(list(country["languages"].values())),
            "calling code": _only(country["callingCodes"]),
            "largest neighbour": self._largest_neighbour(country),
        }
        facts = [
            fact(relation, _plain(value), self.further, source=COUNTRIES_SOURCE)
            for relation, value in values.items()
            if value and relation not in unstated
        ]
        continent = self.continents[country["cca2"].lower()]
        facts.append(fact("continent", continent, self.further, source=CONTINENTS_SOURCE))
        return Row(name, type_, f"flag of {name}", facts, source=COUNTRIES_SOURCE)

    def _stated(self, country: Mapping[str, Any]) -> list[Fact]:
        values = {"capital": country["capital"][0], "currency": _currency(country)}
        return [fact(name, _plain(value), _nothing, source=COUNTRIES_SOURCE) for name, value in values.items() if value]

    def _largest_neighbour(self, country: Mapping[str, Any]) -> str | None:
        codes = set(country["borders"])
        others = [each for each in self.countries.values() if each["cca3"] in codes]
        if not others:
            return None
        name = str(max(others, key=lambda each: each["area"])["name"]["common"])
        return f"the {name}" if name in WITH_ARTICLE else name


def read_knowledge(build: Path) -> Knowledge:
    """Read the packages that `recipes/pictures` unpacked under `build`."""
    listed = json.loads((folder_of(COUNTRIES, build) / "dist/countries.json").read_text(encoding="utf-8"))
    flags = json.loads((folder_of(CONTINENTS, build) / "country.json").read_text(encoding="utf-8"))
    continents = {each["code"]: each["continent"] for each in flags if each.get("continent")}
    return Knowledge({each["name"]["common"]: each for each in listed}, continents, table("further.toml"))


def _nothing(relation: str, value: str) -> list[Fact]:
    del relation, value
    return []


def _only(values: Sequence[str]) -> str | None:
    return values[0] if len(values) == 1 else None


def _currency(country: Mapping[str, Any]) -> str | None:
    name = _only([each["name"] for each in country["currencies"].values()])
    if name is None:
        return None
    return "the euro" if name == "Euro" else f"the {name}"


def _plain(text: str) -> str:
    """Return a text without accents, for answers that a model is asked to spell."""
    letters = unicodedata.normalize("NFKD", text.translate(LETTERS))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
