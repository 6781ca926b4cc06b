"""The embedded benchmark's data: complete, licensed, small, and fair between its splits."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.benchmarks import embedded
from mmke.benchmarks.check import check

KINDS = ("entity", "visual", "user")
SPLITS = ("train", "eval")
FILES = [(kind, split) for kind in KINDS for split in SPLITS]
IMAGES = embedded.FOLDER / "data_image"

COMMON = {"knowledge_type", "type_self", "src", "pred", "alt", "rephrase", "image", "image_rephrase"}
COMMON |= {"loc", "loc_ans", "m_loc", "m_loc_q", "m_loc_a", "port_new", "tags"}
TWICE = {f"{m}rel{ans}_{n}" for m in ("", "m_") for ans in ("", "_ans") for n in (1, 2)}
FIELDS = {
    "entity": COMMON | TWICE,
    "visual": COMMON | {"rel", "rel_ans", "m_rel", "m_rel_ans", "image_rephrase_question", "one_hop_img"},
    "user": COMMON | TWICE | {"one_hop_img"},
}
PICTURES = ("image", "image_rephrase", "m_loc", "one_hop_img")

Record = dict[str, Any]


def records(kind: str, split: str) -> list[Record]:
    """Return one file's records."""
    path = embedded.FOLDER / "data_json" / f"{kind}_{split}.json"
    loaded: list[Record] = json.loads(path.read_text())
    return loaded


def relations(record: Record) -> list[tuple[str, str]]:
    """Return every relation question with its answer, of the text and of the picture."""
    asked = [name for name in record if "rel" in name and "_ans" not in name]
    return [(record[name], record[name.replace("rel", "rel_ans", 1)]) for name in asked]


def pictures(record: Record) -> list[str]:
    """Return the paths of a record's pictures."""
    return [record[name] for name in PICTURES if name in record]


def drawings(path: str) -> list[str]:
    """Return the `thing.style` of each drawing in a picture."""
    return Path(path).stem.split("__")


def things(split: str) -> set[str]:
    """Return the keys of all things that any picture of a split shows."""
    paths = [path for kind in KINDS for record in records(kind, split) for path in pictures(record)]
    return {drawing.partition(".")[0] for path in paths for drawing in drawings(path)}


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((IMAGES / "manifest.json").read_text())
    return loaded


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_each_file_has_sixty_complete_records(kind: str, split: str) -> None:
    loaded = records(kind, split)
    assert len(loaded) >= 60
    for record in loaded:
        assert record.keys() == FIELDS[kind]
        assert all(record.values()), record["alt"]
        assert [entry["port_type"] for entry in record["port_new"]] == ["1-hop"]


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_descriptions_are_distinct_and_of_20_to_45_words(kind: str, split: str) -> None:
    texts = [record["alt"] for record in records(kind, split)]
    assert len(set(texts)) == len(texts)
    assert [text for text in texts if not 20 <= len(text.split()) <= 45] == []


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_the_new_description_holds_the_answers_and_the_old_one_does_not(kind: str, split: str) -> None:
    for record in records(kind, split):
        for question, answer in relations(record):
            assert answer.lower() in record["alt"].lower(), question
            assert answer.lower() not in record["pred"].lower(), question


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_answers_are_short_and_not_given_away_by_the_question(kind: str, split: str) -> None:
    for record in records(kind, split):
        port = record["port_new"][0]["Q&A"]
        asked = [*relations(record), (port["Question"], port["Answer"]), (record["m_loc_q"], record["m_loc_a"])]
        for question, answer in asked:
            assert len(answer.split()) <= 4, answer
            assert answer.lower() not in question.lower(), question
            assert question.endswith((".", "?"))


def test_portability_asks_for_what_the_entity_description_does_not_say() -> None:
    for record in records("entity", "train") + records("entity", "eval"):
        answer = record["port_new"][0]["Q&A"]["Answer"]
        assert answer.lower() not in record["alt"].lower(), record["alt"]


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_at_least_half_of_the_rephrase_pictures_are_in_a_held_out_style(kind: str, split: str) -> None:
    styles = Counter(record["tags"]["rephrase_style"] for record in records(kind, split))
    assert styles.keys() <= {"held-out", "trained"}
    assert styles["held-out"] * 2 >= styles.total()


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_a_rephrase_picture_shows_the_same_thing_by_another_artist(
    kind: str, split: str, manifest: dict[str, Any]
) -> None:
    for record in records(kind, split):
        (shown,), (other,) = (manifest["pictures"][record[name]] for name in ("image", "image_rephrase"))
        assert shown["thing"] == other["thing"]
        assert manifest["styles"][shown["style"]]["author"] != manifest["styles"][other["style"]]["author"]


def test_no_thing_is_shown_in_both_splits() -> None:
    assert things("train") & things("eval") == set()


def test_no_edit_of_one_split_names_an_entity_of_the_other() -> None:
    train, evaluation = ({record["tags"]["becomes"] for record in records("entity", split)} for split in SPLITS)
    assert train & evaluation == set()


def test_no_two_records_edit_the_same_thing() -> None:
    edited = [record["tags"]["subject"] for kind, split in FILES for record in records(kind, split)]
    assert len(set(edited)) == len(edited)


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_unrelated_pictures_and_facts_are_not_about_the_subject(kind: str, split: str) -> None:
    for record in records(kind, split):
        assert drawings(record["m_loc"])[0].partition(".")[0] not in {
            drawing.partition(".")[0] for drawing in drawings(record["image"])
        }
        assert record["loc_ans"].lower() not in record["alt"].lower().split()


def test_every_picture_opens_and_is_at_most_224_pixels_wide_and_high() -> None:
    paths = {path for kind, split in FILES for record in records(kind, split) for path in pictures(record)}
    for path in paths:
        with Image.open(IMAGES / path) as picture:
            picture.load()
            assert max(picture.size) <= 224, path


def test_the_manifest_lists_exactly_the_pictures_that_records_use(manifest: dict[str, Any]) -> None:
    used = {path for kind, split in FILES for record in records(kind, split) for path in pictures(record)}
    there = {path.relative_to(IMAGES).as_posix() for path in IMAGES.rglob("*.png")}
    assert set(manifest["pictures"]) == used == there


def test_every_drawing_has_a_source_and_a_licence(manifest: dict[str, Any]) -> None:
    for path, parts in manifest["pictures"].items():
        assert [f"{part['thing']}.{part['style']}" for part in parts] == drawings(path)
        for part in parts:
            assert part["file"]
            assert part["licence"] == manifest["styles"][part["style"]]["licence"]
            assert manifest["styles"][part["style"]]["author"]


@pytest.mark.parametrize(("kind", "split"), FILES)
def test_only_rephrase_pictures_are_in_styles_that_the_models_never_saw(
    kind: str, split: str, manifest: dict[str, Any]
) -> None:
    for record in records(kind, split):
        seen = {
            name: {part["seen"] for part in manifest["pictures"][record[name]]} for name in PICTURES if name in record
        }
        assert seen.pop("image_rephrase") == {record["tags"]["rephrase_style"]}
        assert set.union(*seen.values()) == {"trained"}


def test_all_of_it_is_smaller_than_12_megabytes() -> None:
    size = sum(path.stat().st_size for path in embedded.FOLDER.rglob("*") if path.is_file())
    assert size < 12_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_the_loader_finds_no_problem(kind: str) -> None:
    report = check(embedded.load(name=f"mini-{kind}", data=None), hop=1)
    assert report.passed, report.text()
