"""The rows of things.*: which folder each belongs to, and which of them lend facts to others."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmke.build.sources.folder.table import BETWEEN, Row, read_table
from mmke.build.sources.folder.tree import Tree
from mmke.errors import UserError, did_you_mean

TABLES = ("things.csv", "things.jsonl", "things.toml")
RESERVED = ("name", "type", "looks", "aliases", "folder", "author", "licence", "licence_url", "source")
"""Columns that are no relations."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The table of things.

    Attributes:
        file: where it is, or would be.
        by_id: rows of things with a folder, by the ids of the things.
        without_pictures: ids of rows that have no folder and lend nothing, with the reason.
        by_name: every row by its name and its aliases in small letters; of two with one name the first.
    """

    file: Path
    by_id: Mapping[str, Row]
    without_pictures: Mapping[str, str]
    by_name: Mapping[str, Row]

    def named(self, value: str) -> Row | None:
        """Return the row of the thing that a value names; None where it names none."""
        return self.by_name.get(_key(value))


def relations(row: Row) -> dict[str, str]:
    """Return the values of a row that are facts, by their relations."""
    return {column: value for column, value in row.values.items() if column not in RESERVED}


def spelled(row: Row, known: Collection[str]) -> Row:
    """Return a row with the known columns as they are spelled here, where it has "Name" or "license"."""
    ours = {column: column.casefold().replace("license", "licence") for column in row.values}
    return Row(row.place, {ours[key] if ours[key] in known else key: each for key, each in row.values.items()})


def several(cell: str) -> list[str]:
    """Return the values of a cell that can hold several."""
    return [value.strip() for value in cell.split(BETWEEN) if value.strip()]


def read_rows(root: Path, tree: Tree, *, needed: bool) -> Rows:
    """Read the table of things in a folder.

    Args:
        root: the folder.
        tree: the folders of the things.
        needed: whether things must have facts; else there may be no table.

    Raises:
        UserError: there is no table or there are two, it cannot be read, a row lacks its name or type, two rows are of
            one thing, or the name of a row differs from its folder's in capitals alone; every problem at once.
    """
    there = [root / name for name in TABLES if (root / name).is_file()]
    if len(there) > 1:
        raise UserError(f"{root}: {there[0].name} and {there[1].name} are both there; keep one of them")
    if not there:
        if needed:
            raise UserError(f"{root}: no {', '.join(TABLES)}; the facts stand in one of them, a row for each thing")
        return Rows(root / TABLES[0], {}, {}, {})
    rows = [spelled(row, RESERVED) for row in read_table(there[0])]
    problems = list(_problems(rows, tree))
    if problems:
        raise UserError("\n".join(problems))
    by_name: dict[str, Row] = {}
    for row in rows:
        for name in (row.values["name"], *several(row.values.get("aliases", ""))):
            by_name.setdefault(_key(name), row)
    by_id = {_id(row): row for row in rows if _id(row) in tree.things}
    lending = {_key(value) for row in rows for value in relations(row).values()}
    types = {thing.type for thing in tree.things.values()}
    without = {
        _id(row): _no_pictures(row, root, types)
        for row in rows
        if _id(row) not in by_id and lending.isdisjoint({_key(row.values["name"])})
    }
    return Rows(there[0], by_id, without, by_name)


def _problems(rows: list[Row], tree: Tree) -> Iterator[str]:
    folders = {id_.casefold(): id_ for id_ in tree.things}
    seen: dict[str, Row] = {}
    for row in rows:
        lacking = [column for column in ("name", "type") if column not in row.values]
        if lacking:
            near = did_you_mean(lacking[0], row.values)
            yield f"{row.place}: {lacking[0]} is missing or empty{near}"
            continue
        id_ = _id(row)
        before = seen.setdefault(id_.casefold(), row)
        if before is not row:
            differ = " but for capitals" if _id(before) != id_ else ""
            yield f"{row.place}: {id_} is the same{differ} as at {before.place}; keep one row, or give them other names"
        elif id_ not in tree.things and id_ not in tree.misplaced and id_.casefold() in folders:
            yield f"{row.place}: {id_} differs from the folder {folders[id_.casefold()]} in capitals; write both alike"


def _no_pictures(row: Row, root: Path, types: set[str]) -> str:
    kind, folder = row.values["type"], row.values.get("folder", row.values["name"])
    if kind not in types:
        return f"{row.place}: there is no folder {root / kind} for the type {kind!r}{did_you_mean(kind, types)}"
    return f"{row.place}: no pictures; they lie in {root / kind / folder}, and there is no such folder"


def _id(row: Row) -> str:
    return f"{row.values['type']}/{row.values.get('folder', row.values['name'])}"


def _key(name: str) -> str:
    first, _, rest = name.casefold().partition(" ")
    return rest if first in ("the", "a", "an") and rest else name.casefold()
