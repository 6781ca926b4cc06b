"""A case as a line: what was edited and asked, with pictures that can be found again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmke.benchmarks.embedded import load
from mmke.benchmarks.probes.published import PORT, T_REL
from mmke.results.cases import PACKAGE, case_line, digest, parse_case
from mmke.types import STRICT, EditCase, ImageRef

KINDS = {"t_rel": T_REL, "port": PORT}


def test_a_case_comes_back_as_it_was_written(case: Callable[[str], EditCase]) -> None:
    line = case_line(case("a"), ["USER: Where?", None])
    assert line.count(b"\n") == 1
    assert parse_case(line, KINDS) == (case("a"), ("USER: Where?", None))


def test_prompts_that_are_not_known_are_null(case: Callable[[str], EditCase]) -> None:
    assert parse_case(case_line(case("a")), KINDS).prompts == (None, None)


def test_the_line_says_the_digest_of_its_prompts(case: Callable[[str], EditCase]) -> None:
    plain = json.loads(case_line(case("a"), ["one", "two"]))
    assert plain["prompts_sha256"] == digest(["one", "two"]) != digest(["two", "one"])


def test_a_picture_of_the_package_is_named_from_the_package(case: Callable[[str], EditCase]) -> None:
    (written, *_) = load(name="mini-entity", data=None).load("eval", hop=1, switches=STRICT).cases
    line = case_line(written)
    assert str(PACKAGE.parent) not in line.decode()
    kinds = {kind.name: kind for kind in (*(probe.kind for probe in written.probes), *written.unscored)}
    back = parse_case(line, kinds).case
    assert back == written
    assert all(probe.query.image is None or probe.query.image.path.is_file() for probe in back.probes)


def test_another_picture_keeps_the_path_it_was_given(case: Callable[[str], EditCase]) -> None:
    edit = case("a").edits[0]
    moved = replace(edit, query=replace(edit.query, image=ImageRef(Path("/data/it.png"), "5" * 64)))
    plain = json.loads(case_line(replace(case("a"), edits=(moved,))))
    assert plain["edits"][0]["image"] == {"path": "/data/it.png", "sha256": "5" * 64, "upright": True}


def test_a_lone_surrogate_in_a_question_survives(case: Callable[[str], EditCase]) -> None:
    edit = replace(case("a").edits[0], target="half \ud83d a pair")
    assert parse_case(case_line(replace(case("a"), edits=(edit,))), KINDS).case.edits == (edit,)


def test_a_kind_that_run_json_does_not_know_is_an_error(case: Callable[[str], EditCase]) -> None:
    with pytest.raises(ValueError, match=r"the probe kind 'port' is not among those of run\.json: t_rel"):
        parse_case(case_line(case("a")), {"t_rel": T_REL})
