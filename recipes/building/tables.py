"""The written tables of `text/`: things by kind, and facts of their values."""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KINDS = ("entity", "semantic", "user")
WRITTEN = "general knowledge, written for mmke"
NO_FACTS = frozenset({"drawn", "without", "aliases", "looks"})

Fact = dict[str, Any]
Further = Callable[[str, str], list[Fact]]
"""What is known of the value of a relation."""


@dataclass(frozen=True)
class Row:
    """One thing as it is written down.

    Attributes:
        drawn: its name in the catalogue of drawings.
        without: styles in which it is drawn as something else.
        name, type, facts, aliases, looks, source: as in the builder's `Thing`.
    """

    name: str
    type: str
    drawn: str
    facts: list[Fact]
    aliases: list[str] = field(default_factory=list)
    looks: str = ""
    source: str = WRITTEN
    without: list[str] = field(default_factory=list)

    @property
    def thing(self) -> dict[str, Any]:
        """Return it as the content of a `Thing`."""
        return {
            "id": f"{slug(self.type)}/{slug(self.name)}",
            "name": self.name,
            "type": self.type,
            "aliases": self.aliases,
            "looks": self.looks,
            "facts": self.facts,
            "source": self.source,
        }


def slug(name: str) -> str:
    """Return a name in small letters of ASCII with hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def table(name: str) -> dict[str, Any]:
    """Read one table."""
    return tomllib.loads((HERE / "text" / name).read_text(encoding="utf-8"))


def fact(relation: str, value: str, further: Further, *, source: str = WRITTEN) -> Fact:
    """Return a fact with what is known of its value."""
    return {"relation": relation, "value": value, "source": source, "further": further(relation, value)}


def written(kind: str, further: Further, text: Path = HERE / "text") -> list[Row]:
    """Return the things of a kind that are written by hand in a folder of tables, type by type."""
    found: list[Row] = []
    for path in sorted((text / kind).glob("*.toml")):
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
        found += [_row(name, plain["type"], each, further) for name, each in plain["things"].items()]
    return found


def _row(name: str, type_: str, plain: Mapping[str, Any], further: Further) -> Row:
    facts = [fact(relation, value, further) for relation, value in plain.items() if relation not in NO_FACTS]
    return Row(
        name,
        type_,
        plain.get("drawn", name),
        facts,
        aliases=plain.get("aliases", []),
        looks=plain.get("looks", ""),
        without=plain.get("without", []),
    )
