"""The things that come with mmke: complete, varied within their type, and shown by pictures that may be passed on."""

import io
import json
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.build.collect.licences import licence, why_refused
from mmke.build.collect.prints import Known, prints_of
from mmke.build.content import Fact, Kind, Thing
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.protocols import FoundThing
from mmke.build.sources.mini.source import Mini, make
from mmke.build.wording import says
from mmke.errors import UserError

KINDS: tuple[Kind, ...] = ("entity", "semantic", "user")
PICTURES = {"entity": 2, "semantic": 3, "user": 3}


def found(kind: Kind) -> list[FoundThing]:
    source = Mini(kind, ())
    return [source.find(id_) for id_ in source.list()]


def things(kind: Kind) -> list[Thing]:
    return [each.thing for each in found(kind)]


def collecting() -> dict[str, Any]:
    template = tomllib.loads((files("mmke.build") / "build.template.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = template["collect"]
    return table


def all_facts(facts: tuple[Fact, ...]) -> list[Fact]:
    return [each for fact in facts for each in (fact, *all_facts(fact.further))]


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_enough_things_for_sixty_records_and_no_type_is_lonely(kind: Kind) -> None:
    known = things(kind)
    assert len(known) >= 66
    assert len({thing.id for thing in known}) == len(known)
    assert len({(thing.type, thing.name.casefold()) for thing in known}) == len(known)
    assert min(Counter(thing.type for thing in known).values()) >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_short_say_where_they_are_from_and_stand_once(kind: Kind) -> None:
    for thing in things(kind):
        assert len(thing.facts) >= 2, thing.id
        assert len({fact.relation for fact in thing.facts}) == len(thing.facts), thing.id
        for fact in all_facts(thing.facts):
            assert 1 <= len(fact.value.split()) <= 5, (thing.id, fact.value)
            assert fact.value == fact.value.strip()
            assert fact.value.isascii(), (thing.id, fact.value)
            assert fact.source, (thing.id, fact.relation)


@pytest.mark.parametrize("kind", KINDS)
def test_each_relation_has_three_values_within_a_type(kind: Kind) -> None:
    values: dict[tuple[str, str], set[str]] = {}
    for thing in things(kind):
        for fact in thing.facts:
            values.setdefault((thing.type, fact.relation), set()).add(fact.value)
    assert {key: each for key, each in values.items() if len(each) < 3} == {}


@pytest.mark.parametrize("kind", ["entity", "semantic"])
def test_no_value_says_another_value_of_its_relation(kind: Kind) -> None:
    """One that did could not be exchanged for the other: the old value would be left in the description."""
    values: dict[tuple[str, str], set[str]] = {}
    for thing in things(kind):
        for fact in thing.facts:
            values.setdefault((thing.type, fact.relation), set()).add(fact.value)
    within = [(one, other) for each in values.values() for one in each for other in each if one != other]
    assert [(one, other) for one, other in within if says(one, other)] == []


def test_every_entity_has_a_fact_that_leads_one_hop_further() -> None:
    lacking = [thing.id for thing in things("entity") if not any(fact.further for fact in thing.facts)]
    assert lacking == []


def test_how_semantic_things_look_tells_neither_name_nor_facts() -> None:
    for thing in things("semantic"):
        assert thing.value("meaning"), thing.id
        assert thing.looks.endswith("."), thing.id
        told = [thing.name, *thing.aliases, *(fact.value for fact in thing.facts)]
        assert not [text for text in told if says(thing.looks, text)], thing.id


@pytest.mark.parametrize("kind", KINDS)
def test_no_fact_says_the_name_of_its_thing(kind: Kind) -> None:
    said = [(thing.id, fact.value) for thing in things(kind) for fact in thing.facts if says(fact.value, thing.name)]
    assert said == []


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_by_different_artists_under_licences_that_are_allowed(kind: Kind) -> None:
    allowed = collecting()["licences"]
    for each in found(kind):
        assert len(each.pictures) == PICTURES[kind], each.thing.id
        assert len({picture.origin for picture in each.pictures}) == PICTURES[kind], each.thing.id
        assert len({picture.author for picture in each.pictures}) == PICTURES[kind], each.thing.id
        for picture in each.pictures:
            assert why_refused(licence(picture.licence), allowed) is None, picture.origin
            assert picture.author, picture.origin
            assert picture.licence_url or picture.licence == "public domain", picture.origin


def test_every_picture_is_a_square_of_224_pixels() -> None:
    for kind in KINDS:
        for each in found(kind):
            for picture in each.pictures:
                with Image.open(io.BytesIO(picture.read())) as image:
                    assert image.size == (224, 224), picture.origin


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_picture_is_taken_for_another(kind: Kind) -> None:
    known = Known(collecting()["duplicate_distance"])
    for each in found(kind):
        for picture in each.pictures:
            with Image.open(io.BytesIO(picture.read())) as image:
                prints = prints_of(image.convert("RGB"))
            assert known.twin(prints) is None, picture.origin
            known.add(picture.origin, prints)


def test_the_manifest_names_every_picture_that_was_added_and_no_other() -> None:
    folder = files("mmke.build.sources.mini") / "pictures"
    listed = json.loads(folder.joinpath("manifest.json").read_text(encoding="utf-8"))
    there = {file.name for file in folder.iterdir() if file.name.endswith(".png")}
    assert set(listed["pictures"]) == there


def test_a_project_gets_the_things_of_its_kind_and_types(tmp_path: Path) -> None:
    file = new(tmp_path / "own", kind="user")
    file.write_text(file.read_text(encoding="utf-8").replace("types = []", 'types = ["pet", "bag"]'), encoding="utf-8")
    with open_project(file.parent, write=False) as project:
        source = make(project)
    listed = source.list()
    assert {id_.partition("/")[0] for id_ in listed} == {"pet", "bag"}
    assert list(listed) == list(make(project).list())
    assert source.find("pet/cat").thing.name == "cat"


def test_a_type_that_the_kind_has_not_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="has no 'mamal' of kind 'entity'; did you mean 'mammal'"):
        Mini("entity", ("mamal",))
