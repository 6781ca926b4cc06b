"""The source `folder`: what a newcomer does right, and everything that they can do wrong."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from own_folder import change, collected, content, own_folder, picture, save, write_table

from mmke.build.content import Fact, Thing
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.errors import UserError

HEAD = "name,type,size,described"
REST = ("bee-eater,bird,28 cm,1758", "kingfisher,bird,16 cm,1758", "owl,bird,30 cm,1758", "robin,bird,14 cm,1758")


def thing(folder: Path, id_: str) -> Thing:
    """Return a thing that was collected."""
    with open_project(folder, write=False) as project:
        entry = project.things.get(id_)
    assert entry is not None
    return entry.content


def facts(found: tuple[Fact, ...]) -> dict[str, str]:
    return {fact.relation: fact.value for fact in found}


TABLES = {
    "things.csv": "name,type,looks,aliases,capital,founded\n"
    'Aland,flag,"A flag, red and white.",Republic of Aland|AL,Alva,1901\n'
    "Boria,flag,,,Borsk,1922\nAlva,city,,,,1200\nBorsk,city,,,,1300\n",
    "things.jsonl": "\n".join(
        json.dumps(each)
        for each in (
            {
                "name": "Aland",
                "type": "flag",
                "looks": "A flag, red and white.",
                "aliases": ["Republic of Aland", "AL"],
                "capital": "Alva",
                "founded": 1901,
            },
            {"name": "Boria", "type": "flag", "capital": "Borsk", "founded": 1922, "looks": None},
            {"name": "Alva", "type": "city", "founded": 1200},
            {"name": "Borsk", "type": "city", "founded": 1300},
        )
    ),
    "things.toml": """
[[things]]
name = "Aland"
type = "flag"
looks = "A flag, red and white."
aliases = ["Republic of Aland", "AL"]
capital = "Alva"
founded = 1901
[[things]]
name = "Boria"
type = "flag"
capital = "Borsk"
founded = 1922
[[things]]
name = "Alva"
type = "city"
founded = 1200
[[things]]
name = "Borsk"
type = "city"
founded = 1300
""",
}


@pytest.mark.parametrize("name", TABLES)
def test_facts_of_a_value_that_is_in_the_table_go_one_hop_further(tmp_path: Path, name: str) -> None:
    new(tmp_path, kind="entity", source="folder", name="flags")
    for country in ("Aland", "Boria"):
        for n in range(2):
            save(tmp_path / "things" / "flag" / country / f"{n}.png")
    (tmp_path / "things" / name).write_text(TABLES[name])
    assert collected(tmp_path).refused == {}
    found = thing(tmp_path, "flag/Aland")
    assert facts(found.facts) == {"capital": "Alva", "founded": "1901"}
    assert facts(found.facts[0].further) == {"founded": "1200"}
    assert (found.looks, found.aliases) == ("A flag, red and white.", ("Republic of Aland", "AL"))
    assert found.facts[0].source == f"things/{name}"


def test_authors_and_licences_are_stated_by_file_by_thing_or_for_all(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    write_table(folder, f"{HEAD},author,licence", *[f"{row}," for row in REST[:-1]], f"{REST[-1]},Ben,CC0")
    change(folder, 'author = ""', 'author = "Ann"')
    write_table(
        folder,
        "file,author,licence,source",
        "bird/robin/0.png,Cleo,CC BY 4.0,https://example.org/robins",
        "bird/owl/0.png,,CC BY-NC 4.0,",
        name="pictures.csv",
    )
    collected(folder)
    with open_project(folder, write=False) as project:
        stated = {each.content.origin: each.content for each in project.pictures}
    ours = {origin: (each.author, each.licence) for origin, each in stated.items()}
    assert ours["things/bird/bee-eater/0.png"] == ("Ann", "own work")
    assert ours["things/bird/robin/1.png"] == ("Ben", "CC0-1.0")
    assert ours["https://example.org/robins (things/bird/robin/0.png)"] == ("Cleo", "CC-BY-4.0")
    assert ours["things/bird/owl/0.png"] == ("Ann", "CC-BY-NC-4.0")
    assert stated["things/bird/owl/0.png"].refused == "its licence CC-BY-NC-4.0 forbids sale"


def test_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    rows = "\r\n".join([HEAD.replace(",", ";"), *[row.replace(",", ";") for row in REST], ";;;", ""])
    (folder / "things" / "things.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert collected(folder).refused == {}
    assert facts(thing(folder, "bird/owl").facts) == {"size": "30 cm", "described": "1758"}


def test_characters_that_steer_a_terminal_are_left_out(tmp_path: Path) -> None:
    folder = own_folder(tmp_path, things=("owl",))
    write_table(folder, "name,type,size,described", "owl,bird,\x1b[31m30\x07 cm,17\u202e58")
    assert collected(folder).refused == {}
    assert facts(thing(folder, "bird/owl").facts) == {"size": "[31m30 cm", "described": "17 58"}


def test_what_systems_put_into_folders_is_passed_over(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    bird = folder / "things" / "bird"
    for junk in (bird / "owl" / "Thumbs.db", bird / ".DS_Store", bird / "owl" / "._0.png", bird / "owl" / "notes.txt"):
        junk.write_bytes(b"junk")
    save(folder / "things" / "__MACOSX" / "bird" / "0.png")
    save(folder / "things" / ".git" / "bird" / "0.png")
    outcome = collected(folder)
    assert (outcome.made, outcome.refused) == (16, {})


def test_names_with_every_letter_and_a_folder_of_another_name(tmp_path: Path) -> None:
    new(tmp_path, kind="entity", source="folder", name="names")
    for name in ("Côte d’Ivoire", "日本", "acdc"):
        for n in range(2):
            save(tmp_path / "things" / "land" / name / f"{n} (1).png")
    # macOS takes the letters of files' names apart; the table has them composed.
    (tmp_path / "things" / "land" / "Côte d’Ivoire").rename(tmp_path / "things" / "land" / "Co\u0302te d’Ivoire")
    write_table(tmp_path, "name,type,folder,a,b", "Côte d’Ivoire,land,,1,2", "日本,land,,1,3", "AC/DC,land,acdc,1,4")
    outcome = collected(tmp_path)
    assert outcome.refused == {}
    assert thing(tmp_path, "land/acdc").name == "AC/DC"
    names = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert len(names) == 6
    assert all(name.isascii() and name.startswith("land") and len(name) < 100 for name in names)


def test_things_without_facts_are_taken_where_none_are_asked_for(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    (folder / "things" / "things.csv").unlink()
    change(folder, "facts = 2", "facts = 0")
    assert collected(folder).refused == {}


def no_folder(folder: Path) -> None:
    (folder / "things").rename(folder / "thinks")


def no_pictures(folder: Path) -> None:
    for file in (folder / "things").rglob("*.png"):
        file.unlink()


def no_table(folder: Path) -> None:
    (folder / "things" / "things.csv").unlink()


def two_tables(folder: Path) -> None:
    write_table(folder, "{}", name="things.jsonl")


def table(*lines: str, name: str = "things.csv") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "things" / "things.csv").unlink()
        write_table(folder, *lines, name=name)

    return write


def latin_1(folder: Path) -> None:
    (folder / "things" / "things.csv").write_bytes("\n".join([HEAD, *REST, "Häher,bird,1,2"]).encode("latin-1"))


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (
            no_folder,
            r"/things: there is no such folder; make things/TYPE/THING/ with pictures in it and things/things.csv",
        ),
        (no_pictures, r"/things: no pictures; they lie in things/TYPE/THING/, such as bird/kingfisher/1.jpg"),
        (no_table, r"/things: no things.csv, things.jsonl, things.toml; the facts stand in one of them"),
        (two_tables, r"/things: things.csv and things.jsonl are both there; keep one of them"),
        (latin_1, r"things.csv, line 6: not UTF-8; save the table as UTF-8 \(“CSV UTF-8”\)"),
        (
            table(HEAD, "owl,bird,30 cm,17,58"),
            r"things.csv, line 2: 5 cells under 4 columns; put a value that holds ','",
        ),
        (table(HEAD, 'owl,bird,"30 cm,1758'), r"things.csv, line 2: no CSV \(.*\); is a double quote missing"),
        (table("name,type,size,Size", *REST), r"things.csv, line 1: two columns are called 'Size'"),
        (table("nam,type,size,described", *REST), r"things.csv, line 2: name is missing or empty; did you mean 'nam'"),
        (table(HEAD, "owl,,30 cm,1758"), r"things.csv, line 2: type is missing or empty"),
        (table(HEAD, *REST, REST[2]), r"things.csv, line 6: bird/owl is the same as at .*line 4; keep one row"),
        (table(HEAD, *REST, "Owl,bird,1,2"), r"line 6: bird/Owl is the same but for capitals as at .*line 4"),
        (
            table(HEAD, "Owl,bird,1,2"),
            r"line 2: bird/Owl differs from the folder bird/owl in capitals; write both alike",
        ),
        (
            table("{}", "{", '{"name": [1]}', name="things.jsonl"),
            r"jsonl, line 2: not JSON .*\n.*line 3: name is \[1\]; a",
        ),
        (table("[[things]", name="things.toml"), r"things.toml is no TOML"),
        (
            table('name = "owl"', name="things.toml"),
            r"things.toml: each thing is a table of its own, headed \[\[things\]\]",
        ),
        (
            table("[[things]]", "name = true", name="things.toml"),
            r"things.toml, thing 1: name is True; a text or a number",
        ),
    ],
)
def test_a_mistake_that_concerns_all_is_told_at_once(
    tmp_path: Path, mistake: Callable[[Path], None], told: str
) -> None:
    mistake(own_folder(tmp_path))
    with pytest.raises(UserError, match=told):
        collected(tmp_path)


def row(id_: str, line: str) -> Callable[[Path], None]:
    """Put a row in the place of a thing's."""

    def write(folder: Path) -> None:
        rows = [each if not each.startswith(f"{id_},") else line for each in REST]
        write_table(folder, HEAD, *[each for each in rows if each])

    return write


def one_more_row(line: str) -> Callable[[Path], None]:
    return lambda folder: write_table(folder, HEAD, *REST, line) and None


def a_picture_at(place: str) -> Callable[[Path], None]:
    return lambda folder: save(folder / "things" / place) and None


def a_file_at(place: str, content_: bytes = b"x") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "things" / place).parent.mkdir(exist_ok=True)
        (folder / "things" / place).write_bytes(content_)

    return write


def a_link(place: str, target: str) -> Callable[[Path], None]:
    def link(folder: Path) -> None:
        outside = folder / "private"
        save(outside / "secret.png")
        (folder / "things" / place).symlink_to(folder / target)

    return link


@pytest.mark.parametrize(
    ("mistake", "id_", "told"),
    [
        (
            row("owl", ""),
            "bird/owl",
            "things.csv has no row with the name 'owl' and the type 'bird'; its facts stand there",
        ),
        (row("owl", "owl,bird,,"), "bird/owl", "no facts, and [collect].facts asks for 2"),
        (row("owl", "owl,bird,30 cm,"), "bird/owl", "1 fact, and [collect].facts asks for 2"),
        (
            row("owl", "owl,bird,as large as a small cat,1758"),
            "bird/owl",
            "things.csv, line 4: the fact 'size' is 'as large as a small cat', 6 words; at most 5",
        ),
        (one_more_row("jay,bird,34 cm,1758"), "bird/jay", "things/bird/jay, and there is no such folder"),
        (one_more_row("jay,brid,34 cm,1758"), "brid/jay", "things/brid for the type 'brid'; did you mean 'bird'"),
        (a_file_at("bird/jay/1.txt"), "bird/jay", "things.csv has no row with the name 'jay'"),
        (
            a_picture_at("bird/1.png"),
            "bird/1.png",
            "this picture must lie in a folder of its thing: things/bird/THING/",
        ),
        (a_picture_at("1.png"), "1.png", "this picture must lie in a folder of its type and thing: things/TYPE/THING/"),
        (a_picture_at("bird/owl/2024/1.png"), "bird/owl/2024", "its pictures lie too deep; put them into bird/owl"),
        (a_picture_at("bird/Owl/1.png"), "bird/owl", "its name is that of 'Owl' but for capitals"),
        (a_link("bird/jay", "private"), "bird/jay", "it is a link that leads out of things; copy the folder"),
        (a_link("bird/jay", "nowhere"), "bird/jay", "it is a link that leads out of things"),
        (a_link("bird/jay", "things/bird/jay"), "bird/jay", "it is a link that leads out of things"),
    ],
)
def test_a_mistake_about_one_thing_is_told_and_the_others_go_on(
    tmp_path: Path, mistake: Callable[[Path], None], id_: str, told: str
) -> None:
    mistake(own_folder(tmp_path))
    outcome = collected(tmp_path)
    assert told in outcome.refused[id_]
    with open_project(tmp_path, write=False) as project:
        assert len(project.things) >= 3


@pytest.mark.parametrize(
    ("place", "mistake", "told"),
    [
        (
            "bird/owl/9.heic",
            a_file_at("bird/owl/9.heic"),
            "pictures of the kind .heic cannot be read here; save it as JPEG",
        ),
        ("bird/owl/9.jpg", a_file_at("bird/owl/9.jpg"), "cannot identify image file"),
        ("bird/owl/9.jpg", a_file_at("bird/owl/9.jpg", b""), "it is an empty file"),
        ("bird/owl/9.jpg", a_file_at("bird/owl/9.jpg", content(picture("x"))[:300]), "truncated"),
        ("bird/owl/9.png", a_link("bird/owl/9.png", "private/secret.png"), "it is a link that leads out of things"),
        ("bird/owl/9.png", a_link("bird/owl/9.png", "things/bird/robin/0.png"), "near-duplicate of bird-"),
    ],
)
def test_a_picture_that_cannot_be_used_is_told_with_its_place(
    tmp_path: Path, place: str, mistake: Callable[[Path], None], told: str
) -> None:
    mistake(own_folder(tmp_path))
    outcome = collected(tmp_path)
    (why,) = outcome.refused.values()
    assert why.startswith("things/bird/")
    assert told in why
    with open_project(tmp_path, write=False) as project:
        assert len(project.things) == 4


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    own_folder(tmp_path)
    os.mkfifo(tmp_path / "things" / "bird" / "owl" / "9.png")
    assert "things/bird/owl/9.png: it is no file" in collected(tmp_path).refused.values()


def test_a_picture_of_the_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    write_table(folder, "file,licence", "bird/owl/O.png,CC0", "owl.png,CC0", name="pictures.csv")
    with pytest.raises(
        UserError, match=r"pictures.csv, line 2: .*no such picture.*did you mean 'bird/owl/\d.png'.*\n.*3: "
    ):
        collected(folder)


def test_what_stands_in_the_logs_does_not_depend_on_where_the_project_is(tmp_path: Path) -> None:
    one, other = own_folder(tmp_path / "one"), own_folder(tmp_path / "deep" / "other")
    change(other, 'path = "things"', f'path = "{other / "things"}"')
    collected(one)
    collected(other)
    assert (one / "pictures.jsonl").read_bytes() == (other / "pictures.jsonl").read_bytes()
    assert (one / "things.jsonl").read_bytes() == (other / "things.jsonl").read_bytes()


def test_columns_are_known_in_capitals_and_in_american_spelling(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    rows = [f"{row},It flies.,CC0" for row in REST]
    write_table(folder, "Name,TYPE,Size,described,Looks,License", *rows)
    write_table(folder, "File,License", r"bird\robin\0.png,CC BY 4.0", name="pictures.csv")
    assert collected(folder).refused == {}
    found = thing(folder, "bird/robin")
    assert (facts(found.facts), found.looks) == ({"Size": "14 cm", "described": "1758"}, "It flies.")
    with open_project(folder, write=False) as project:
        licences = [entry.content.licence for entry in project.pictures]
    assert (licences.count("CC0-1.0"), licences.count("CC-BY-4.0")) == (11, 1)


def test_a_column_of_pictures_that_means_nothing_is_told(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    write_table(folder, "file,autor,x", "bird/owl/0.png,Ann,1", name="pictures.csv")
    with pytest.raises(UserError, match=r"pictures.csv: unknown column 'autor'; did you mean 'author'") as told:
        collected(folder)
    assert "unknown column 'x'; known: file, author, licence, licence_url, source" in str(told.value)
