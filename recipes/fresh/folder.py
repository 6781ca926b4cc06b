"""The things of a fresh set, from its tables, and the folder of pictures and facts that the builder reads.

In: the tables, and the drawings of `recipes/pictures`. Out: a folder for the source `folder`: `<type>/<name>/*.png`,
`things.jsonl`, `pictures.csv`. Drawings of things that other sets show, and drawings that look like one that they show,
are refused.
"""

import csv
import hashlib
import io
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from mmke.build.collect.prints import Known, prints_of
from mmke.build.sources.mini.shipped import LICENCE_URLS

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "mini"), str(HERE.parent / "building")]

import drawing  # noqa: E402
from catalogue import Catalogue, Drawing, Thing, load  # noqa: E402
from countries import read_knowledge  # noqa: E402
from origins import Origins  # noqa: E402
from tables import WRITTEN, Row, written  # noqa: E402

TEXT = HERE / "text"
MOST = 4
"""Drawings of a thing that are offered to the builder, each by another artist; it needs two or three."""


DISTANCE = 10
"""Bits in which the perceptual hashes of near-duplicates differ at most, as in `mmke build collect`."""


def shown(folders: Sequence[Path]) -> Known:
    """Return the prints of all pictures below some folders."""
    known = Known(DISTANCE)
    for file in sorted(file for folder in folders for file in folder.rglob("*.png")):
        with Image.open(file) as picture:
            known.add(file.name, prints_of(picture.convert("RGB")))
    return known


def read(file: Path) -> dict[str, Any]:
    """Read one table."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def edited(kind: str, build: Path, text: Path) -> list[Row]:
    """Return the things of a kind that records edit, with what is known of their facts' values."""
    if kind == "user":
        return list(_named(read(text / "user.toml")))
    knowledge = replace(read_knowledge(build), written=read(text / "further.toml"))
    countries = knowledge.rows(read(text / "countries.toml")) if kind == "entity" else []
    return [*countries, *written(kind, knowledge.further, text)]


def spares(kind: str, text: Path) -> list[Row]:
    """Return the things that no record edits: unrelated ones, which also stand beside edited ones."""
    rows = list(_named(read(text / "spares.toml")))
    if kind != "semantic":
        return rows
    # The builder takes nothing without them in a project of this kind, and uses them of edited things alone.
    unused = [{"relation": "meaning", "value": "nothing", "source": WRITTEN, "further": []}]
    return [replace(row, looks="It is drawn alone.", facts=unused) for row in rows]


def _named(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
    for type_, names in tables.items():
        for name, drawn in names.items():
            yield Row(name, type_, drawn or name, [])


@dataclass
class Folder:
    """Writes the folder of one kind's things.

    Attributes:
        catalogue: of all drawings.
        origins: of all drawings.
        build: where `recipes/pictures` put them.
        shown: prints of what other sets show; drawings that look like one of these are left out.
        taken: keys of the things that they show.
        keys: of the things that were written, by their name.
    """

    catalogue: Catalogue
    origins: Origins
    build: Path
    shown: Known
    taken: frozenset[str]
    keys: dict[str, str] = field(default_factory=dict)

    def write(self, rows: Sequence[Row], folder: Path) -> None:
        """Write pictures, facts and origins of some things.

        Raises:
            SystemExit: a thing is one that other sets show.
        """
        lines = []
        for row in rows:
            thing = self.catalogue.thing(row.drawn)
            if thing.key in self.taken:
                raise SystemExit(f"another set shows {row.drawn!r}; take another thing")
            place = folder / row.type / row.name
            place.mkdir(parents=True, exist_ok=True)
            self.keys[row.name] = thing.key
            for n, each in enumerate(self._drawings(thing, row), start=1):
                path = place / f"{n}.{each.style}.png"
                drawing.save(drawing.alone(each.path(self.build)), path)
                lines.append(self._origin(each, path.relative_to(folder)))
        _write_csv(lines, folder / "pictures.csv")
        text = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in _table(rows))
        (folder / "things.jsonl").write_text(text, encoding="utf-8")

    def _drawings(self, thing: Thing, row: Row) -> Iterator[Drawing]:
        """Yield drawings by different artists: the edit's, the one of the rephrased question, then others.

        As in the mini benchmarks, the small models were trained on the first, and have not seen the second where there
        is one that they have not seen.
        """
        families: set[str] = set()
        for each in self._candidates(thing):
            family = self.catalogue.family(each.style)
            if family in families or each.style in row.without or self._looks_known(each):
                continue
            families.add(family)
            yield each
            if len(families) == MOST:
                return

    def _candidates(self, thing: Thing) -> list[Drawing]:
        first = self.catalogue.trained(thing, role="edit")
        others = [Drawing(thing.key, style) for style in thing.trained]
        held_out = [Drawing(thing.key, thing.held_out)] if thing.held_out else []

        def order(each: Drawing) -> bytes:
            return hashlib.sha256(f"{each.key} fresh {each.style}".encode()).digest()

        return [first, *held_out, *sorted(others, key=order)]

    def _looks_known(self, each: Drawing) -> bool:
        with Image.open(each.path(self.build)) as picture:
            return self.shown.twin(prints_of(picture.convert("RGB"))) is not None

    def _origin(self, each: Drawing, file: Path) -> dict[str, str]:
        source, style = self.origins.source(each), self.catalogue.styles[each.style]
        artist = source.get("artist", "")
        return {
            "file": file.as_posix(),
            "author": f"{artist}, {style['author']}" if artist else str(style["author"]),
            "licence": source["licence"],
            "licence_url": LICENCE_URLS.get(source["licence"], ""),
            "source": f"{style['package']}: {source['file']}",
        }


def _table(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Yield the lines of `things.jsonl`: the things, then the values that have facts of their own."""
    names = {row.name for row in rows}
    for row in rows:
        facts = {each["relation"]: each["value"] for each in row.facts}
        told = {"looks": row.looks, "aliases": row.aliases}
        yield {"name": row.name, "type": row.type, **{key: each for key, each in told.items() if each}, **facts}
    for row in rows:
        for each in row.facts:
            value = each["value"].removeprefix("the ")
            if each["further"] and value not in names:
                names.add(value)
                further = {one["relation"]: one["value"] for one in each["further"]}
                yield {"name": value, "type": f"value of {each['relation']}", **further}


def _write_csv(lines: Sequence[Mapping[str, str]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    path.write_text(text.getvalue(), encoding="utf-8")


__all__ = ["TEXT", "Catalogue", "Drawing", "Folder", "Origins", "Thing", "drawing", "edited", "load", "shown", "spares"]
