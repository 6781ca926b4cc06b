"""A project's logs, settings and lock, on records that were made by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from kit import make_project, make_project_anew

from mmke.build.content import Fact, Thing
from mmke.build.log import Log
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.settings import read_settings
from mmke.build.words import read_words
from mmke.errors import UserError
from mmke.lines import write_file


@pytest.mark.parametrize("kind", ["entity", "semantic", "user"])
def test_the_same_project_twice_has_the_same_bytes_and_is_read_back(tmp_path: Path, kind: str) -> None:
    one, other = make_project_anew(tmp_path / "one", kind), make_project_anew(tmp_path / "other", kind)
    files = sorted(file.relative_to(one) for file in one.rglob("*.jsonl"))
    assert len(files) == 4
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)
    with open_project(one, write=False) as project:
        found = records(project)
    assert len(found) == 6
    assert len({record.content for record in found}) == 6


def test_a_correction_changes_the_content_and_nothing_else(tmp_path: Path) -> None:
    with open_project(make_project(tmp_path, count=1)) as project:
        record = records(project)[0]
    corrected = record.corrected({"target": "New.", "port.answer": "the Rhine"})
    changed = {name for name, text in corrected.texts.items() if text != record.texts[name]}
    assert changed == {"target", "port.answer"}
    assert corrected.content != record.content
    with pytest.raises(UserError, match="no text 'targte'"):
        record.corrected({"targte": "x"})


def thing(name: str, colour: str = "red") -> Thing:
    return Thing(id=name, name=name, type="flag", facts=(Fact(relation="colour", value=colour),))


def test_of_two_lines_the_later_counts_and_half_a_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "things.jsonl"
    log = Log(file, Thing)
    for name, colour in (("a", "red"), ("b", "blue"), ("a", "green"), ("c", "white")):
        log.put(name, thing(name, colour), sources=(), by={}, inputs=colour)
    log.keep_only({"a", "c"})
    with file.open("ab") as out:
        out.write(b'{"id": "half')
    again = Log(file, Thing)
    assert [(entry.id, entry.content.value("colour")) for entry in again] == [("a", "green"), ("c", "white")]
    assert again.has("a", "green")
    assert not again.has("a", "red")
    assert not again.has("b", "blue")
    again.put("d", thing("d"), sources=(), by={}, inputs="x")
    assert [entry.id for entry in Log(file, Thing)] == ["a", "c", "d"]


def test_a_line_that_somebody_broke_is_named(tmp_path: Path) -> None:
    file = tmp_path / "things.jsonl"
    Log(file, Thing).put("a", thing("a"), sources=(), by={}, inputs="x")
    plain = json.loads(file.read_bytes())
    del plain["content"]["name"]
    file.write_text(json.dumps(plain) + "\n")
    with pytest.raises(UserError, match=r"things.jsonl, line 1: name: Field required.*take the line out"):
        Log(file, Thing)


def test_a_line_of_braces_without_end_is_named(tmp_path: Path) -> None:
    file = tmp_path / "things.jsonl"
    file.write_text('{"a":' * 100_000 + "\n")
    with pytest.raises(UserError, match=r"things.jsonl, line 1: not JSON"):
        Log(file, Thing)


def test_a_second_program_is_kept_out(tmp_path: Path) -> None:
    folder = make_project(tmp_path, count=1)
    with (
        open_project(folder),
        pytest.raises(UserError, match=r"process \d+ works on this project"),
        open_project(folder),
    ):
        pass
    with open_project(folder):
        pass


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"phrase": "the {town}"}, "phrase.*unknown place {town}; known: {x}"),
        ({"phrase": "the {x.__class__}"}, "unknown place {x.__class__}"),
        ({"phrase": "the {x!r}"}, "unknown place {x}"),
        ({"phrase": "the town"}, "the place {x} is missing"),
        ({"questions": ["Which town is {}?", "Where is {x}?"]}, "questions.0.*unknown place {}"),
        ({"statement": "{x} is in {value"}, "statement.*a brace that is no place is written twice"),
    ],
)
def test_a_place_that_words_cannot_fill_in_is_told_with_its_key(table: dict[str, Any], told: str) -> None:
    words = {"phrase": "the town of {x}", "questions": ["Which is it of {x}?"] * 2, "statement": "{x} is in {value}."}
    with pytest.raises(UserError, match=told):
        read_words({"town": {**words, **table}}, {}, place=Path("build.toml"))


def test_braces_in_names_are_no_places() -> None:
    words = read_words({}, {}, place=Path("build.toml"))
    assert words.relation("{rel} of").statement.format(x="it", value="{x}") == "The {rel} of of it is {x}."
    type_ = words.type("{type}")
    assert (type_.on_side.format(side="left"), type_.shown) == ("the {type} on the left", "the {type} in the image")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Ana's birds", "Ana s birds"), ('a"b', "a b"), ("-x", "x"), ("🔩", "benchmark"), ("Vögel", "Vögel")],
)
def test_any_folder_can_be_a_project(tmp_path: Path, folder: str, name: str) -> None:
    assert read_settings(new(tmp_path / folder, kind="entity")).name == name


def test_a_name_that_none_can_have_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no benchmark can be called 'a\"b'"):
        new(tmp_path / "x", kind="entity", name='a"b')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("count = 60", "count = 0", "count = 0: input should be greater than 0"),
        ("seed = 0", "sed = 0", "unknown key 'sed'; did you mean 'seed'"),
        ("short_side = 224", "short_sid = 224", "unknown key 'collect.short_sid'; did you mean 'short_side'"),
        ('kind = "entity"', 'kind = "visual"', "kind = 'visual': input should be 'entity', 'semantic' or 'user'"),
        ("double = 0.2", "double = 2", "verify.double = 2: input should be less than or equal to 1"),
        ("seed = 0", "seed = ", "is no TOML"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_key(tmp_path: Path, old: str, new: str, told: str) -> None:
    file = make_project(tmp_path, count=1) / "build.toml"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=told):
        read_settings(file)


def test_a_kind_that_was_changed_afterwards_is_told(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "made", count=1)
    settings = folder / "build.toml"
    settings.write_text(settings.read_text().replace('kind = "entity"', 'kind = "user"'))
    with (
        open_project(folder) as project,
        pytest.raises(UserError, match="kind = 'user', and the records were made with"),
    ):
        records(project)


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        write_file(Path("/dev/full"), b"picture")
    assert caught.value.filename == "/dev/full"
