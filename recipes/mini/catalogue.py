"""Things and their drawings, from the catalogue that `recipes/pictures` writes; which drawing shows what."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

# A line drawing with sparks around it, and one artist's early sketches: shown only where there is nothing else.
LAST_CHOICE = frozenset({"streamline", "emojione-v1"})


class Drawing(NamedTuple):
    """One artist's picture of one thing."""

    key: str
    style: str

    def path(self, build: Path) -> Path:
        """Return where `recipes/pictures` put it."""
        return build / self.style / f"{self.key}.png"


@dataclass(frozen=True)
class Thing:
    """A thing that is drawn in several styles.

    Attributes:
        trained: styles that the small models were trained on for this thing.
        held_out: the style that they never saw of this thing; None where every style was trained on.
    """

    key: str
    name: str
    group: str
    subgroup: str
    trained: tuple[str, ...]
    held_out: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Catalogue:
    """Every thing by its name, and each style's source."""

    things: Mapping[str, Thing]
    styles: Mapping[str, Mapping[str, Any]]

    def thing(self, name: str) -> Thing:
        """Return the thing of this name, or say that the catalogue lacks it."""
        if name not in self.things:
            raise SystemExit(f"no thing named {name!r} in the catalogue; see recipes/pictures")
        return self.things[name]

    def family(self, style: str) -> str:
        """Return the artist of a style."""
        return str(self.styles[style]["family"])

    def trained(self, thing: Thing, *, role: str, without: Collection[str] = ()) -> Drawing:
        """Choose a trained drawing of `thing` by the sha256 of key, role and style, by an artist not in `without`."""
        allowed = [style for style in thing.trained if self.family(style) not in without]
        if not allowed:
            raise SystemExit(f"{thing.name!r} has no trained drawing by another artist than {sorted(without)}")
        usual = [style for style in allowed if style not in LAST_CHOICE]

        def order(style: str) -> bytes:
            return hashlib.sha256(f"{thing.key} {role} {style}".encode()).digest()

        return Drawing(thing.key, min(usual or allowed, key=order))

    def other(self, thing: Thing, shown: Drawing, *, without: Collection[str] = ()) -> Drawing:
        """Return another artist's drawing: the one held out of training where there is one."""
        if thing.held_out is not None and self.family(thing.held_out) not in without:
            return Drawing(thing.key, thing.held_out)
        return self.trained(thing, role="rephrase", without={self.family(shown.style), *without})


def load(build: Path) -> Catalogue:
    """Read `catalogue.json` from the folder that `recipes/pictures` built."""
    raw = json.loads((build / "catalogue.json").read_text())
    fields = ("key", "name", "group", "subgroup", "held_out", "facts")
    things = [
        Thing(**{field: entry[field] for field in fields}, trained=tuple(entry["trained"])) for entry in raw["things"]
    ]
    return Catalogue(things={thing.name: thing for thing in things}, styles=raw["styles"])
