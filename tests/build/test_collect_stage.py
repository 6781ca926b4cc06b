"""Collecting: what is taken, what is refused with which reason, and how a run goes on."""

from pathlib import Path

import pytest
from own_folder import change, collected, everything, own_folder, picture, save
from PIL import Image

from mmke.build.project import open_project
from mmke.errors import UserError


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
    with pytest.raises(
        UserError, match=r"no thing that can be used: bird/bee-eater: 1 picture of 1 can be used, 2 are"
    ):
        collected(folder)
    change(folder, "short_side = 224", "short_side = 100")
    assert "bird/owl" not in collected(folder).refused
