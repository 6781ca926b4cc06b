"""Which questions are asked about which pictures, and what they cannot be asked."""

import hashlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hard_kit import picture, record
from PIL import Image

from mmke.benchmarks.probes import hard
from mmke.benchmarks.probes.hard import GENERIC, KINDS, with_hard_probes
from mmke.benchmarks.probes.partners import Partner, partner_ids
from mmke.pictures import black_path, open_picture, picture_size, read_bytes
from mmke.types import EditCase, ImageRef, Probe, Query

OWN, OTHER = record("own", "new own"), record("other", "new other")


@pytest.fixture
def case(tmp_path: Path) -> EditCase:
    """The record OWN with a picture that is there, which lies on its side."""
    file = tmp_path / "own.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (13, 7), "white").save(file, exif=exif)
    edit = OWN.edits[0]
    return replace(OWN, edits=(replace(edit, query=Query(edit.query.text, ImageRef(file, "own"))),))


def asked(case: EditCase) -> dict[str, list[tuple[str, str | None, str]]]:
    found = defaultdict(list)
    for probe in case.probes:
        image = probe.query.image
        found[probe.kind.name].append((probe.query.text, image and image.sha256, probe.target))
    return dict(found)


def test_each_kind_puts_a_question_and_a_picture_together(case: EditCase) -> None:
    (made,) = with_hard_probes([case], {"own": Partner(OTHER)}, published=False)
    found, far, new = asked(made), "far of own", "new own"
    pointing, other = "Who owns the own in the picture?", "What does own eat?"
    own = [(pointing, "owner of own"), (other, "food of own")]
    partners = ["Who owns the other in the picture?", "What does other eat?"]
    assert found["ri_question"] == [(text, far, gold) for text, gold in own]
    assert found["ri_picture"] == [("Which fruit is it?", "own", new)]
    assert found["ri_generic"] == [(text, "own", new) for text in GENERIC]
    assert found["ni_question"] == [(pointing, None, "owner of own")]
    assert found["ni_partner"] == [(text, None, new) for text in partners]
    assert found["ci_picture"] == [(text, "other", gold) for text, gold in own]
    assert found["ci_partner"] == [(text, "other", new) for text in partners]
    assert found["ci_named"] == [("Where does other live?", "own", new)]
    assert found["near_text"] == [("Where does other live?", None, new)]
    assert [(text, gold) for text, _, gold in found["black"]] == own
    assert not made.unscored
    assert [kind.group for kind in KINDS] == ["RI"] * 3 + ["NI"] * 2 + ["CI"] * 3 + [None] * 2


def test_the_partner_stands_on_the_probes_that_need_it(case: EditCase) -> None:
    (made,) = with_hard_probes([case], {"own": Partner(OTHER)}, published=True)
    assert made.probes[: len(case.probes)] == case.probes
    tagged = {probe.kind for probe in made.probes if probe.tags.get("partner") == "other"}
    assert tagged == set(hard.OF_PARTNER)
    assert partner_ids([made]) == {"own": "other"}


def test_what_a_record_lacks_is_unscored_with_the_reason(case: EditCase) -> None:
    bare = replace(case, probes=tuple(probe for probe in case.probes[2:] if "picture" not in probe.query.text))
    (made,) = with_hard_probes([bare], {"own": Partner(None, "no partner: none")}, published=False)
    assert {kind.name: reason for kind, reason in made.unscored.items()} == {
        "ri_question": hard.NO_LOCALITY,
        "ri_picture": hard.NO_LOCALITY,
        "ni_question": hard.NOT_POINTING,
        **{kind.name: "no partner: none" for kind in hard.OF_PARTNER},
    }


def test_an_unrelated_question_that_is_the_edits_own_is_not_asked_about_the_edited_picture(case: EditCase) -> None:
    locality = case.probes[0]
    same = replace(locality, query=Query("what is  shown", locality.query.image))
    (made,) = with_hard_probes(
        [replace(case, probes=(same, *case.probes[1:]))], {"own": Partner(OTHER)}, published=False
    )
    assert {kind.name: reason for kind, reason in made.unscored.items()} == {"ri_picture": hard.SAME_QUESTION}


def test_a_format_without_questions_about_the_picture_asks_the_edits_own(case: EditCase) -> None:
    bare = replace(case, probes=case.probes[:1])
    (made,) = with_hard_probes([bare], {"own": Partner(replace(OTHER, probes=()))}, published=False)
    assert asked(made)["ci_picture"] == [("What is shown?", "other", "new own")]
    assert made.unscored[hard.CI_NAMED] == hard.NO_TEXT


def test_a_black_picture_has_the_size_of_the_edited_one_and_needs_no_file(case: EditCase) -> None:
    (made,) = with_hard_probes([case], {"own": Partner(OTHER)}, published=False)
    image = next(probe.query.image for probe in made.probes if probe.kind == hard.BLACK)
    assert image is not None
    # The edited picture is turned by its EXIF orientation.
    assert image.path == black_path(7, 13)
    assert not image.path.exists()
    assert hashlib.sha256(read_bytes(image.path)).hexdigest() == image.sha256
    black = open_picture(image.path).convert("RGB")
    assert black.size == (7, 13) == picture_size(image.path)
    assert black.getextrema() == ((0, 0),) * 3


def test_a_broken_picture_has_no_black_one(case: EditCase) -> None:
    probes = (Probe(case.probes[0].kind, Query("Which fruit?", picture("x")), "a pear"),)
    (made,) = with_hard_probes([replace(OWN, probes=probes)], {"own": Partner(OTHER)}, published=False)
    assert "own.png cannot be read as a picture" in made.unscored[hard.BLACK]
