"""Projects of made-up vases, for tests of what is edited and asked: facts by a table, pictures of noise."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from mmke.build.ask.stage import ask
from mmke.build.content import Fact, Kind, Picture, Thing
from mmke.build.new import new
from mmke.build.project import Project, open_project
from mmke.build.protocols import Outcome
from mmke.build.write.stage import write

CAPITALS = {"Aland": "Alva", "Boria": "Borsk", "Corda": "Cordo", "Drome": "Dromo", "Elbia": "Elbat", "Fenn": "Fenna"}

GRAMMAR = """
[relations.country]
phrase = "the country that {x} is from"
questions = ["Which country is {x} from?", "From which country does {x} come?"]
statement = "{x} is from {value}."

[relations.founded]
phrase = "the year of the firm that makes {x}"
questions = ["When was the firm that makes {x} founded?", "In which year was the maker of {x} founded?"]
statement = "The firm that makes {x} was founded in {value}."
before = "closed"
range = [1500, 2000]

[relations.closed]
phrase = "the last year of the firm that makes {x}"
questions = ["When was the firm that makes {x} closed?", "In which year did the maker of {x} end?"]
statement = "That firm was closed in {value}."

[relations.meaning]
phrase = "the meaning of {x}"
questions = ["What does {x} mean?", "What is the meaning of {x}?"]
statement = "{x} means {value}."
"""


class Quiet:
    """Shows nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        pass

    def step(self) -> None:
        pass


def vase(name: str, type_: str = "vase", **facts: str) -> Thing:
    """Return a thing with facts; a country's capital is a further fact of it."""
    further = {key: (Fact(relation="capital", value=CAPITALS[key]),) for key in CAPITALS}
    made = tuple(
        Fact(relation=relation, value=value, source="test", further=further.get(value, ()))
        for relation, value in facts.items()
    )
    id_ = f"{type_}/{name.lower()}"
    return Thing(id=id_, name=name, type=type_, looks=f"It has {len(name)} stripes.", facts=made, source="test")


def some_vases(count: int, type_: str = "vase") -> list[Thing]:
    """Return vases that differ in every fact as far as there are values."""
    countries, colours = list(CAPITALS), ["red", "green", "blue", "white", "black", "grey", "pink"]
    return [
        vase(
            f"{type_.title()}{chr(97 + n // 26)}{chr(97 + n % 26)}",
            type_,
            country=countries[n % len(countries)],
            founded=str(1700 + 7 * n),
            colour=colours[n % len(colours)],
            meaning=f"idea {chr(97 + n // 26)}{chr(97 + n % 26)}",
        )
        for n in range(count)
    ]


def make_vases(folder: Path, kind: Kind, things: Sequence[Thing], **settings: str) -> Path:
    """Make a project of things with pictures, and return its folder; `settings` are lines to put in by their key."""
    file = new(folder, kind=kind, name="vases")
    text = file.read_text()
    for key, value in settings.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(old, f"{key} = {value}", 1)
    file.write_text(text + GRAMMAR)
    add(folder, things)
    return folder


def add(folder: Path, things: Sequence[Thing], *, pictures: int = 3) -> None:
    """Put things and their pictures into a project."""
    with open_project(folder) as project:
        for thing in things:
            project.things.put(thing.id, thing, sources=(), by={"stage": "collect"}, inputs="test")
            for n in range(pictures):
                _put_picture(project, thing, n)


def _put_picture(project: Project, thing: Thing, n: int) -> None:
    id_ = f"{thing.id.replace('/', '-')}-{n}.png"
    noise = hashlib.sha256(id_.encode()).digest()
    project.pictures_folder.mkdir(exist_ok=True)
    file = project.pictures_folder / id_
    Image.frombytes("RGB", (4, 2), noise[:24]).resize((240 + 10 * n, 240), Image.Resampling.NEAREST).save(file)
    picture = Picture(
        id=id_,
        thing=thing.id,
        origin=f"https://example.org/{id_}",
        author="A. Painter",
        licence="CC0-1.0",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        width=240 + 10 * n,
        height=240,
        prints={"phash": noise[:8].hex()},
    )
    project.pictures.put(id_, picture, sources=(thing.id,), by={"stage": "collect"}, inputs="test")


def written(folder: Path) -> Outcome:
    """Run the stage that writes edits."""
    with open_project(folder) as project:
        return write(project, Quiet())


def asked(folder: Path) -> Outcome:
    """Run the stage that asks."""
    with open_project(folder) as project:
        return ask(project, Quiet())


@contextmanager
def reading(folder: Path) -> Iterator[Project]:
    """Open a project to look at it."""
    with open_project(folder, write=False) as project:
        yield project


def contents(folder: Path) -> Mapping[str, bytes]:
    """Return every file of a project but the lock, by its name."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }
