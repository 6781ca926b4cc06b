"""The source `folder`: pictures in `<path>/<type>/<thing>/`, facts in `<path>/things.csv`, `.jsonl` or `.toml`.

Columns: `name` and `type`; `looks`, `aliases`, `folder` (where the name of the thing's folder is another one),
`author`, `licence` and `source` where wanted; every other column is a relation. A value that is the name of another row
has that row's facts as its own further facts; a row can stand there for that alone, without pictures. `pictures.csv`
states author, licence and source by file.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mmke.build.collect.judge import MOST_WORDS
from mmke.build.content import Fact, Thing
from mmke.build.project import Project
from mmke.build.protocols import FoundPicture, FoundThing
from mmke.build.sources.folder.rows import Rows, read_rows, relations, several, spelled
from mmke.build.sources.folder.table import Row, Values, read_table
from mmke.build.sources.folder.tree import TO_CONVERT, Tree, leads_out, read_tree
from mmke.errors import UserError, did_you_mean
from mmke.pictures import read_bytes

OF_PICTURES = ("file", "author", "licence", "licence_url", "source")
"""Columns of pictures.csv."""
MOST_BYTES = 100_000_000
"""Larger files are no pictures that a model could use more of than of smaller ones."""


class FolderSettings(BaseModel):
    """`[sources.folder]`.

    Attributes:
        path: of the folder, from the project's folder.
        author: of the pictures for which the tables state none.
        licence: the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    author: str
    licence: str


def make(project: Project) -> "FolderSource":
    """Your own pictures and facts, from a folder.

    Raises:
        UserError: there is no such folder, it has no pictures, or a table cannot be read.
    """
    settings = project.settings_of("sources", "folder", FolderSettings)
    root = project.folder / settings.path
    if not root.is_dir():
        raise UserError(
            f"{root}: there is no such folder; make {root.name}/TYPE/THING/ with pictures in it and "
            f"{root.name}/things.csv with the facts, or change path in [sources.folder]"
        )
    return FolderSource(root, settings, facts=project.settings.collect.facts)


class FolderSource:
    """Things by their folders; made by `make`."""

    name = "folder"

    def __init__(self, root: Path, settings: FolderSettings, *, facts: int) -> None:
        """Read the tables and the names of the files; `facts` is how many a thing must have."""
        self.by: Mapping[str, str] = {"source": "folder"}
        self._root, self._settings = root, settings
        self._tree: Tree = read_tree(root)
        self._needs_facts = facts > 0
        if not any(thing.pictures for thing in self._tree.things.values()) and not self._tree.misplaced:
            raise UserError(f"{root}: no pictures; they lie in {root.name}/TYPE/THING/, such as bird/kingfisher/1.jpg")
        self._rows: Rows = read_rows(root, self._tree, needed=self._needs_facts)
        self._pictures = self._read_pictures_table()

    def list(self) -> Sequence[str]:
        """Return the ids of the things, in the order of their names; then of what cannot be used."""
        return [*self._tree.things, *self._rows.without_pictures, *self._tree.misplaced]

    def find(self, id_: str) -> FoundThing:
        """Return one of them.

        Raises:
            UserError: it has no row, no pictures, a fact that is too long, or lies in the wrong place.
        """
        if id_ in self._tree.misplaced:
            raise UserError(self._tree.misplaced[id_])
        if id_ in self._rows.without_pictures:
            raise UserError(self._rows.without_pictures[id_])
        folder = self._tree.things[id_]
        row = self._rows.by_id.get(id_)
        if row is None and self._needs_facts:
            names = [each.values["name"] for each in self._rows.by_id.values()]
            raise UserError(
                f"{self._rows.file} has no row with the name {folder.name!r} and the type {folder.type!r}; "
                f"its facts stand there{did_you_mean(folder.name, names)}"
            )
        if not folder.pictures:
            raise UserError(f"{self._shown(id_)} has no pictures")
        values = {} if row is None else row.values
        thing = Thing(
            id=id_,
            name=values.get("name", folder.name),
            type=folder.type,
            aliases=tuple(several(values.get("aliases", ""))),
            looks=values.get("looks", ""),
            facts=() if row is None else self._facts(row, further=True),
            source=values.get("source", self._shown("")),
        )
        return FoundThing(thing, tuple(self._picture(file, values) for file in folder.pictures))

    def _facts(self, row: Row, *, further: bool) -> tuple[Fact, ...]:
        made = []
        for relation, value in relations(row).items():
            number = len(value.split())
            if number > MOST_WORDS:
                raise UserError(
                    f"{row.place}: the fact {relation!r} is {value!r}, {number} words; at most {MOST_WORDS}, as it is "
                    "the answer to a question"
                )
            other = self._rows.named(value) if further else None
            more = () if other is None or other is row else self._facts(other, further=False)
            source = row.values.get("source", self._shown(self._rows.file.name))
            made.append(Fact(relation=relation, value=value, source=source, further=more))
        return tuple(made)

    def _picture(self, file: Path, thing: Values) -> FoundPicture:
        place = file.relative_to(self._root).as_posix()
        own = self._pictures.get(place, {})
        stated = {**thing, **own}
        return FoundPicture(
            origin=f"{own['source']} ({self._shown(place)})" if "source" in own else self._shown(place),
            author=stated.get("author", self._settings.author),
            licence=stated.get("licence", self._settings.licence),
            licence_url=stated.get("licence_url", ""),
            read=partial(_read, file, self._root),
            version=_version(file, self._root),
        )

    def _read_pictures_table(self) -> Mapping[str, Values]:
        table = self._root / "pictures.csv"
        if not table.is_file():
            return {}
        there = {
            file.relative_to(self._root).as_posix() for thing in self._tree.things.values() for file in thing.pictures
        }
        rows = [spelled(row, OF_PICTURES) for row in read_table(table)]
        known = f"; known: {', '.join(OF_PICTURES)}"
        problems = [
            f"{table}: unknown column {column!r}{did_you_mean(column, OF_PICTURES) or known}"
            for column in dict.fromkeys(column for row in rows for column in row.values)
            if column not in OF_PICTURES
        ]
        problems += [
            f"{row.place}: file is {_place(row)!r}, and there is no such picture under {self._root}; write it as "
            f"TYPE/THING/FILE{did_you_mean(_place(row), there)}"
            for row in rows
            if _place(row) not in there
        ]
        if problems:
            raise UserError("\n".join(problems))
        return {_place(row): row.values for row in rows}

    def _shown(self, place: str) -> str:
        """Return a place as the logs name it: without the way to the folder, which differs from machine to machine."""
        return (Path(self._settings.path).name + f"/{place}").strip("/")


def _place(row: Row) -> str:
    return row.values.get("file", "").replace("\\", "/")


def _read(file: Path, root: Path) -> bytes:
    if leads_out(file, root):
        raise UserError(f"it is a link that leads out of {root.name}, or to nothing; copy the picture")
    if not file.is_file():  # a pipe would be waited for
        raise UserError("it is no file")
    if file.suffix.casefold() in TO_CONVERT:
        raise UserError(f"pictures of the kind {file.suffix} cannot be read here; save it as JPEG or PNG")
    if file.stat().st_size > MOST_BYTES:
        raise UserError(f"the file is over {MOST_BYTES // 1_000_000} MB; reduce the picture")
    return read_bytes(file)


def _version(file: Path, root: Path) -> str:
    try:
        return hashlib.sha256(_read(file, root)).hexdigest()
    except UserError as error:
        return str(error)
