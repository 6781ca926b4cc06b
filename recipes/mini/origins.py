"""Say for each drawing which file of which package it is, who drew it and under which licence."""

import gzip
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from catalogue import Catalogue, Drawing

PICTURES = Path(__file__).parents[1] / "pictures"
sys.path.append(str(PICTURES))

from fetch import folder_of  # noqa: E402
from render import codepoints, icons  # noqa: E402
from things import Thing as Drawn  # noqa: E402
from things import emoji, extras, signs  # noqa: E402

CREATOR = re.compile(r"<dc:creator>.*?<dc:title>([^<]*)</dc:title>", re.DOTALL)


@dataclass
class Origins:
    """Looks up sources in the packages that `recipes/pictures` unpacked under `build`."""

    catalogue: Catalogue
    build: Path
    drawn: Mapping[str, Drawn] = field(init=False)

    def __post_init__(self) -> None:
        """List everything that the pictures recipe knows how to draw, by key."""
        sources = tomllib.loads((PICTURES / "sources.toml").read_text())
        table = tomllib.loads((PICTURES / "signs.toml").read_text())
        openmoji = folder_of(sources["styles"]["openmoji"]["package"], self.build)
        listed = [*extras(openmoji), *signs(table), *emoji(folder_of(sources["facts"]["names"], self.build))]
        self.drawn = {thing.key: thing for thing in listed}
        self._held_out = {thing.key: thing.held_out for thing in self.catalogue.things.values()}

    def source(self, drawing: Drawing) -> dict[str, str]:
        """Return a drawing's style, file, licence, artist where the package names one, and whether models saw it."""
        style = self.catalogue.styles[drawing.style]
        file = self._file(self.drawn[drawing.key], style, drawing.style)
        artist = self._artist(drawing, style, file)
        seen = "held-out" if drawing.style == self._held_out[drawing.key] else "trained"
        known = {"thing": drawing.key, "style": drawing.style, "seen": seen, "file": file}
        return known | {"licence": str(style["licence"])} | ({"artist": artist} if artist else {})

    def _folder(self, style: Mapping[str, Any]) -> Path:
        return folder_of(style["package"], self.build)

    def _file(self, thing: Drawn, style: Mapping[str, Any], name: str) -> str:
        kind = style["kind"]
        if kind == "drawn":
            return f"semaphore.py, arms {thing.files[name]}"
        if kind == "iconify":
            return f"icons.json#{icons(self._folder(style)).find(hexcode=thing.hexcode, label=thing.label)}"
        inside = style["folder"]
        if kind == "clipart":
            return f"{inside}/{thing.files[name]}"
        code = thing.code if kind.startswith("flag") else codepoints(thing.hexcode)
        return f"{inside}/{_files(self._folder(style) / inside)[code]}".removeprefix("./")

    def _artist(self, drawing: Drawing, style: Mapping[str, Any], file: str) -> str:
        if drawing.style == "openmoji":
            return _openmoji_artists(self._folder(style)).get(self.drawn[drawing.key].hexcode, "")
        if style["kind"] == "clipart":
            found = CREATOR.search((self._folder(style) / file).read_text(errors="replace"))
            return " ".join(found.group(1).split()) if found else ""
        return ""


@cache
def _files(folder: Path) -> dict[str, str]:
    pictures = (path for path in sorted(folder.iterdir()) if path.suffix in {".svg", ".png", ".webp"})
    return {codepoints(path.stem): path.name for path in pictures}


@cache
def _openmoji_artists(folder: Path) -> dict[str, str]:
    entries = json.loads((folder / "data/openmoji.json").read_text())
    return {entry["hexcode"]: entry["openmoji_author"] for entry in entries}


def styles(origins: Origins, used: set[str]) -> dict[str, dict[str, str]]:
    """Return package, version, licence and author of each style that is used."""
    known = {}
    for name in sorted(used):
        style = origins.catalogue.styles[name]
        package, _, version = str(style["package"]).rpartition("@")
        if style.get("debian"):
            package, version = str(style["package"]), _debian_version(folder_of(style["package"], origins.build))
        elif not package:
            package, version = "drawn by recipes/pictures/semaphore.py", ""
        known[name] = {"package": package, "version": version, "licence": style["licence"], "author": style["author"]}
    return known


def _debian_version(folder: Path) -> str:
    changelog = next(folder.glob("usr/share/doc/*/changelog.Debian.gz"))
    first = gzip.decompress(changelog.read_bytes()).decode().partition("\n")[0]
    return first[first.index("(") + 1 : first.index(")")]
