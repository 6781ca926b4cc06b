"""The pictures of the source `folder`: `<path>/<type>/<thing>/<picture>`, and what lies in the wrong place."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmke.build.sources.folder.table import plain

READABLE = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TO_CONVERT = (".heic", ".heif", ".svg", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".psd", ".pdf")
"""Ends of the names of pictures that Pillow cannot read, which a user would miss if nothing was said."""

_NOT_MEANT = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True, slots=True)
class ThingFolder:
    """The folder of one thing: its type and name, and its pictures' files in the order of their names."""

    type: str
    name: str
    pictures: tuple[Path, ...]


@dataclass(slots=True)
class Tree:
    """What lies under the path: folders of things by id, and by its place why something else is not used."""

    things: dict[str, ThingFolder] = field(default_factory=dict)
    misplaced: dict[str, str] = field(default_factory=dict)


def read_tree(root: Path) -> Tree:
    """Return the folders of things under a path, in the order of their names."""
    tree = Tree()
    for kind in _folders(root, root, tree, f"a folder of its type and thing: {root.name}/TYPE/THING/"):
        for thing in _folders(root, kind, tree, f"a folder of its thing: {root.name}/{kind.name}/THING/"):
            _read_thing(root, thing, tree)
    return tree


def leads_out(file: Path, root: Path) -> bool:
    """Tell whether a path is a link that leads out of the root, or to nowhere."""
    try:
        return not file.resolve().is_relative_to(root.resolve()) or not file.exists()
    except (OSError, RuntimeError):  # links that lead to each other
        return True


def _read_thing(root: Path, folder: Path, tree: Tree) -> None:
    pictures = []
    for each in _entries(folder):
        if each.is_dir():
            if any(_is_picture(file) for file in _entries(each)):
                place = each.relative_to(root).as_posix()
                tree.misplaced[place] = f"its pictures lie too deep; put them into {folder.relative_to(root)}"
        elif _is_picture(each):
            pictures.append(each)
    kind, name = plain(folder.parent.name), plain(folder.name)
    tree.things[f"{kind}/{name}"] = ThingFolder(kind, name, tuple(pictures))


def _folders(root: Path, folder: Path, tree: Tree, right_place: str) -> Iterator[Path]:
    """Yield the folders in a folder, and note pictures, links and names that should not be there."""
    seen: dict[str, str] = {}
    for each in _entries(folder):
        place = each.relative_to(root).as_posix()
        if each.is_symlink() and leads_out(each, root):
            tree.misplaced[place] = f"it is a link that leads out of {root.name}; copy the folder"
        elif not each.is_dir():
            if _is_picture(each):
                tree.misplaced[place] = f"this picture must lie in {right_place}"
        elif plain(each.name).casefold() in seen:
            tree.misplaced[place] = f"its name is that of {seen[plain(each.name).casefold()]!r} but for capitals"
        else:
            seen[plain(each.name).casefold()] = each.name
            yield each


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder in the order of the names, without what systems put there unasked."""
    meant = (each for each in folder.iterdir() if not each.name.startswith("."))
    return sorted((each for each in meant if each.name.casefold() not in _NOT_MEANT), key=lambda each: each.name)


def _is_picture(file: Path) -> bool:
    return file.suffix.casefold() in READABLE + TO_CONVERT
