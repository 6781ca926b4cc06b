"""Collecting: what is taken, what is refused with which reason, and how a run goes on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from own_folder import BIRDS, change, collected, content, everything, own_folder, picture, save, write_table
from PIL import Image

from mmke import registry
from mmke.build.content import Fact, Thing
from mmke.build.project import open_project
from mmke.build.protocols import FoundPicture, FoundThing
from mmke.errors import UnreachableError, UserError


def test_things_and_pictures_are_collected_with_where_they_come_from(tmp_path: Path) -> None:
    outcome = collected(own_folder(tmp_path))
    assert (outcome.made, outcome.kept, outcome.refused) == (16, 0, {})
    with open_project(tmp_path, write=False) as project:
        things = [entry.content for entry in project.things]
        pictures = [entry.content for entry in project.pictures]
    assert [thing.id for thing in things] == ["bird/bee-eater", "bird/kingfisher", "bird/owl", "bird/robin"]
    assert things[0].value("size") == "9 cm"
    first = pictures[0]
    assert first.id.startswith("bird-bee-eater-")
    assert (first.origin, first.licence, first.width, first.height) == (
        "things/bird/bee-eater/0.png",
        "own work",
        240,
        260,
    )
    assert sorted(each.id for each in pictures) == sorted(file.name for file in (tmp_path / "pictures").iterdir())


def test_a_second_run_does_nothing_and_a_fresh_one_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = own_folder(tmp_path / "one"), own_folder(tmp_path / "other")
    collected(one)
    before = everything(one)
    outcome = collected(one)
    assert (outcome.made, outcome.kept) == (0, 16)
    collected(other)
    assert everything(one) == everything(other) == before


def test_a_near_duplicate_is_refused_with_the_name_of_the_other(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    original = folder / "things" / "bird" / "kingfisher" / "1.png"
    copy = Image.open(original).crop((4, 4, 236, 256)).resize((300, 326))
    save(folder / "things" / "bird" / "robin" / "0.jpg", copy, quality=60)
    outcome = collected(folder)
    with open_project(folder, write=False) as project:
        names = {entry.content.origin: entry.content for entry in project.pictures}
    assert names["things/bird/robin/0.jpg"].refused == f"near-duplicate of {names['things/bird/kingfisher/1.png'].id}"
    assert list(outcome.refused) == [names["things/bird/robin/0.jpg"].id]
    assert len(list((folder / "pictures").iterdir())) == 12


def test_a_thing_with_too_few_pictures_says_why(tmp_path: Path) -> None:
    folder = own_folder(tmp_path, pictures=1)
    save(folder / "things" / "bird" / "owl" / "1.png", picture("small", (300, 100)))
    outcome = collected(folder)
    assert (outcome.made, outcome.kept) == (0, 0)
    assert outcome.refused["bird/bee-eater"] == "1 picture of 1 can be used, 2 are needed"
    assert outcome.refused["bird/owl"] == (
        "1 picture of 2 can be used, 2 are needed (things/bird/owl/1.png: 300 x 100 px: the short side is under 224)"
    )
    change(folder, "short_side = 224", "short_side = 100")
    assert "bird/owl" not in collected(folder).refused


@pytest.mark.parametrize(("kind", "pictures"), [("entity", 2), ("semantic", 3), ("user", 3)])
def test_each_kind_needs_its_number_of_pictures(tmp_path: Path, kind: str, pictures: int) -> None:
    folder = own_folder(tmp_path, kind=kind, pictures=pictures - 1)
    write_table(folder, "name,type,looks,meaning,b", *(f"{bird},bird,It flies.,m,{bird}" for bird in BIRDS))
    assert collected(folder).made == 0
    for bird in BIRDS[:2]:
        save(folder / "things" / "bird" / bird / "9.png")
    assert set(collected(folder).refused) == {"bird/owl", "bird/robin"}


@pytest.mark.parametrize(
    ("columns", "row", "told"),
    [
        ("meaning,b", "stop,2", "it has no `looks`, a sentence on how it looks, which semantic knowledge needs"),
        ("looks,a,b", "It flies.,1,2", "it has no fact 'meaning', which semantic knowledge needs"),
        (
            "looks,a,b",
            "A big Wave.,1,2",
            "its `looks` ('A big Wave.') holds its name, 'wave'; say how it looks without it",
        ),
        (
            "aliases,looks,a,b",
            "hi|hello,Say Hello!,1,2",
            "its `looks` ('Say Hello!') holds its name, 'hello'; say how it looks without it",
        ),
    ],
)
def test_semantic_things_need_looks_and_a_meaning(tmp_path: Path, columns: str, row: str, told: str) -> None:
    folder = own_folder(tmp_path, kind="semantic", things=("wave",))
    write_table(folder, f"name,type,{columns}", f"wave,bird,{row}")
    assert collected(folder).refused == {"bird/wave": told}


def test_the_name_of_an_entity_is_an_answer_and_so_not_long(tmp_path: Path) -> None:
    name = "the long name of a bird"
    folder = own_folder(tmp_path, things=("owl", name))
    assert collected(folder).refused == {
        f"bird/{name}": "its name has 6 words; at most 5, as it is the answer to a question"
    }
    change(folder, 'kind = "entity"', 'kind = "user"')
    assert collected(folder).refused == {}


def test_a_type_that_the_source_lacks_is_told_with_the_nearest(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    change(folder, "types = []", 'types = ["brid"]')
    with pytest.raises(
        UserError, match="types names 'brid', of which the source folder has nothing; did you mean 'bird'"
    ):
        collected(folder)


def found(id_: str, *pictures: FoundPicture, name: str | None = None) -> FoundThing:
    facts = (Fact(relation="a", value="1"), Fact(relation="b", value="2"))
    return FoundThing(Thing(id=id_, name=name or id_, type=id_.partition("/")[0], facts=facts), pictures)


def shown(origin: str) -> FoundPicture:
    return FoundPicture(origin, "Ann", "CC0", "", lambda: content(picture(origin)))


@dataclass
class Handmade:
    """A source that gives what a test hands it; an error is raised."""

    things: dict[str, FoundThing | UserError]
    name: str = "handmade"
    by: Mapping[str, str] = field(default_factory=lambda: {"source": "handmade"})

    def list(self) -> Sequence[str]:
        return list(self.things)

    def find(self, id_: str) -> FoundThing:
        thing = self.things[id_]
        if isinstance(thing, UserError):
            raise thing
        return thing


@pytest.fixture
def handmade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Handmade:
    """Return the source of the project at `tmp_path`, which has no things yet."""
    own_folder(tmp_path)
    source = Handmade({})
    monkeypatch.setattr(registry, "factory", lambda noun, name: lambda project: source)
    return source


def test_a_source_without_things_is_told(tmp_path: Path, handmade: Handmade) -> None:
    with pytest.raises(UserError, match="the source handmade has no things"):
        collected(tmp_path)


def test_one_bad_thing_or_picture_never_ends_the_stage(tmp_path: Path, handmade: Handmade) -> None:
    def gone() -> bytes:
        raise UserError("404 Not Found")

    one, long = Fact(relation="a", value="1"), Fact(relation="a", value="1 2 3 4 5 6")
    handmade.things = {
        "t/broken": UserError("its page cannot be read"),
        "t/other": found("t/another", shown("1"), shown("2")),
        "t/twice": FoundThing(Thing(id="t/twice", name="x", type="t", facts=(one, one)), ()),
        "t/long": FoundThing(Thing(id="t/long", name="x", type="t", facts=(long,)), ()),
        "t/good": found("t/good", shown("3"), FoundPicture("bad", "", "CC0", "", gone), shown("4"), shown("3")),
    }
    outcome = collected(tmp_path)
    assert {id_: why for id_, why in outcome.refused.items() if id_.startswith("t/")} == {
        "t/broken": "its page cannot be read",
        "t/other": "the source calls it 't/another'",
        "t/twice": "it has two facts 'a'; state one",
        "t/long": "the fact 'a' is '1 2 3 4 5 6', 6 words; at most 5",
    }
    assert "bad: 404 Not Found" in outcome.refused.values()
    with open_project(tmp_path, write=False) as project:
        assert [entry.id for entry in project.things] == ["t/good"]


def test_a_refused_things_pictures_stand_in_nobodys_way(tmp_path: Path, handmade: Handmade) -> None:
    handmade.things = {
        "t/lone": found("t/lone", shown("1")),
        "t/good": found("t/good", shown("1"), shown("2")),
    }
    assert list(collected(tmp_path).refused) == ["t/lone"]
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_names_of_files_are_plain_short_and_differ(tmp_path: Path, handmade: Handmade) -> None:
    ids = ("t/a b", "t/a_b", "t/A:b", "t/" + "long " * 60, "鳥/鷹", "../../etc/passwd", "t/CON")
    handmade.things = {id_: found(id_, shown(f"{id_}0"), shown(f"{id_}1"), name=id_[:9]) for id_ in ids}
    assert collected(tmp_path).refused == {}
    names = [file.name for file in (tmp_path / "pictures").iterdir()]
    assert len({name.casefold() for name in names}) == 2 * len(ids)
    assert all(re.fullmatch(r"[a-z0-9-]{1,90}\.png", name) for name in names)


def test_an_unreachable_source_ends_the_stage_and_nothing_is_lost(tmp_path: Path, handmade: Handmade) -> None:
    handmade.things = {
        "t/one": found("t/one", shown("1"), shown("2")),
        "t/two": UnreachableError("the service does not answer"),
    }
    with pytest.raises(UnreachableError):
        collected(tmp_path)
    with open_project(tmp_path, write=False) as project:
        assert [entry.id for entry in project.things] == ["t/one"]
    handmade.things["t/two"] = found("t/two", shown("3"), shown("4"))
    outcome = collected(tmp_path)
    assert (outcome.made, outcome.kept) == (3, 3)


def test_of_two_things_of_one_name_the_first_stays_and_no_picture_of_the_other_is_read(
    tmp_path: Path, handmade: Handmade
) -> None:
    def never() -> bytes:
        raise AssertionError("it was read")

    unread = FoundPicture("5", "Ann", "CC0", "", never)
    handmade.things = {
        "t/lone": found("t/lone", shown("0"), name="Red Bridge"),
        "t/1": found("t/1", shown("1"), shown("2"), name="Red Bridge"),
        "u/1": found("u/1", shown("3"), shown("4"), name="Red Bridge"),
        "t/2": found("t/2", unread, name="red bridge"),
    }
    refused = collected(tmp_path).refused
    assert set(refused) == {"t/lone", "t/2"}
    assert refused["t/2"] == "t/1 has the same name, 'Red Bridge'"


def test_a_type_of_which_everything_is_refused_is_no_unknown_type(tmp_path: Path, handmade: Handmade) -> None:
    change(tmp_path, "types = []", 'types = ["t"]')
    handmade.things = {"t/1": UserError("no"), "u/1": found("u/1", shown("3"), shown("4"))}
    assert collected(tmp_path).refused == {"t/1": "no"}


def test_a_missing_package_is_told_before_anything_is_judged(
    tmp_path: Path, handmade: Handmade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"ImageHash: pip install 'mmke\[build\]'"):
        collected(tmp_path)
    assert not (tmp_path / "pictures.jsonl").exists()
