"""A folder of one's own pictures and facts, for tests of collecting."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mmke.build.collect.stage import collect
from mmke.build.content import Kind
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.protocols import Outcome

BIRDS = ("bee-eater", "kingfisher", "owl", "robin")


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None: ...
    def step(self) -> None: ...


def picture(name: str, size: tuple[int, int] = (240, 260)) -> Image.Image:
    """Return coloured fields that follow from a name: no two names look alike."""
    seed = hashlib.sha256(name.encode()).digest() + hashlib.sha256(name[::-1].encode()).digest()
    return Image.frombytes("RGB", (4, 4), seed[:48]).resize(size, Image.Resampling.NEAREST)


def save(file: Path, image: Image.Image | None = None, **how: object) -> Path:
    """Save a picture, one of its own by its path where none is given, and return its file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    (image or picture("/".join(file.parts[-3:]))).save(file, **how)
    return file


def content(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    """Return a picture's file content."""
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def own_folder(folder: Path, *, kind: Kind = "entity", things: Sequence[str] = BIRDS, pictures: int = 3) -> Path:
    """Make a project with birds in a folder of one's own and return the project's folder."""
    new(folder, kind=kind, source="folder", name="birds")
    for thing in things:
        for n in range(pictures):
            save(folder / "things" / "bird" / thing / f"{n}.png")
    rows = [f"{thing},bird,{len(thing)} cm,{1900 + n}" for n, thing in enumerate(things)]
    write_table(folder, "name,type,size,described", *rows)
    return folder


def write_table(folder: Path, *lines: str, name: str = "things.csv") -> Path:
    """Write a table into the folder of things."""
    file = folder / "things" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def collected(folder: Path) -> Outcome:
    """Run the stage on a project."""
    with open_project(folder) as project:
        return collect(project, Silent())


def everything(folder: Path) -> dict[str, bytes]:
    """Return the content of every file that collecting makes, by its place."""
    made = [folder / "things.jsonl", folder / "pictures.jsonl", *(folder / "pictures").iterdir()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in made if file.exists()}


def change(folder: Path, old: str, new_: str) -> None:
    """Change the project's settings."""
    file = folder / "build.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new_, 1), encoding="utf-8")
