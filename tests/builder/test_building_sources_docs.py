"""What docs/building-sources.md shows works as it stands there: the tables, the settings, the source of one's own."""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_folder import change, collected, content, picture, save

from mmke.build.collect.judge import MOST_WORDS, PICTURES
from mmke.build.collect.prepare import LONG_SIDE, MOST_PIXELS
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.settings import read_settings
from mmke.build.sources.wikidata.media import WIDTH
from mmke.build.sources.wikidata.source import WikidataSettings
from mmke.build.sources.wikidata.web import ATTEMPTS

PAGE = (Path(__file__).parents[2] / "docs/building-sources.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["things.csv", "things.toml"])
def test_the_folder_of_the_page_is_collected(tmp_path: Path, name: str) -> None:
    new(tmp_path, kind="entity", source="folder", name="birds")
    things = tmp_path / "things"
    for place in ("kingfisher/1.jpg", "kingfisher/2.png", "robin/a.jpg", "robin/b.webp"):
        save(things / "bird" / place)
    table, pictures = blocks("csv")
    (things / "pictures.csv").write_text(pictures)
    (things / name).write_text(table if name == "things.csv" else blocks("toml")[0])
    refused = collected(tmp_path).refused
    assert set(refused) == (set() if name == "things.csv" else {"bird/robin"})  # the second table has one thing
    with open_project(tmp_path, write=False) as project:
        thing = project.things.get("bird/kingfisher")
        stated = {entry.content.author: entry.content.licence for entry in project.pictures}
    assert thing is not None
    assert thing.content.aliases == ("common kingfisher", "halcyon")
    assert (thing.content.value("home"), thing.content.value("first described")) == ("Europe", "1758")
    assert stated["Ana Lima"] == "CC-BY-SA-4.0"


def test_the_settings_of_the_page_are_those_of_the_template(tmp_path: Path) -> None:
    shown = tomllib.loads(blocks("toml")[1])["sources"]["wikidata"]
    WikidataSettings.model_validate(shown)
    written = read_settings(new(tmp_path, kind="entity")).sources["wikidata"]
    assert list(shown) == list(written)
    assert all(shown[key] == written[key] for key in ("query", "entities", "media", "pause", "images", "pictures"))


def test_numbers_of_the_page_are_those_of_the_program() -> None:
    assert PICTURES == {"entity": 2, "semantic": 3, "user": 3}
    for told in (
        f"of more than {LONG_SIDE:,} pixels",
        f"over {MOST_PIXELS // 1_000_000} million pixels",
        f"copy of {WIDTH} pixels",
    ):
        assert told in " ".join(PAGE.split())
    assert (MOST_WORDS, ATTEMPTS) == (5, 5)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the page's source as a package of its own."""
    package, metadata = tmp_path / "my_museum", tmp_path / "my_museum-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").write_text("")
    (package / "catalogue.py").write_text(blocks("python")[0])
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-museum\nVersion: 1.0\n")
    point = blocks("toml")[2].splitlines()[1].replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[mmke.sources]\n{point}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for module in ("my_museum", "my_museum.catalogue"):
        sys.modules.pop(module, None)


@pytest.mark.usefixtures("installed")
def test_the_source_of_the_page_is_found_and_collected(tmp_path: Path) -> None:
    folder = tmp_path / "museum"
    new(folder, kind="entity", source="catalogue", name="museum")
    change(folder, "[sources.wikidata]", '[sources.catalogue]\npath = "objects.json"\n\n[sources.wikidata]')
    objects = []
    for number, title in enumerate(("Blue Vase", "Red Vase", "Lent Vase")):
        images = []
        for n in range(2):
            file = content(picture(f"{title} {n}"))
            (folder / f"{number}-{n}.png").write_bytes(file)
            digest = hashlib.sha256(file).hexdigest()
            images.append({"file": f"{number}-{n}.png", "photographer": "Ana", "rights": "CC BY 4.0", "sha256": digest})
        data = {"maker": f"potter {number}", "year": f"{1900 + number}"}
        each = {"class": "vase", "number": number, "title": title, "loan": number == 2, "data": data, "images": images}
        objects.append(each)
    (folder / "objects.json").write_text(json.dumps(objects))
    outcome = collected(folder)
    assert outcome.refused == {"vase/2": "it is on loan, and its pictures are not ours"}
    assert (outcome.made, collected(folder).kept) == (6, 6)
    with open_project(folder, write=False) as project:
        assert [entry.content.name for entry in project.things] == ["Blue Vase", "Red Vase"]
        assert {entry.by["source"] for entry in project.things} == {"catalogue"}
