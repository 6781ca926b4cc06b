"""What comes out of the source `mini` with the writer `templates`: sixty records of each kind, and nothing wrong."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from mmke.build.content import Kind
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.record import Record
from mmke.build.records import records
from mmke.build.run import run

KINDS: tuple[Kind, ...] = ("entity", "semantic", "user")
THINGS = {"entity": 99, "semantic": 91, "user": 77}


class Quiet:
    """Shows nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Show nothing."""

    def step(self) -> None:
        """Show nothing."""


def made(folder: Path, kind: Kind, *, seed: int = 0, count: int = 60, types: str = "[]") -> list[Record]:
    """Make a project with all its records; none of the stages refuses anything, and no rule finds anything."""
    file = new(folder, kind=kind, name="made")
    text = file.read_text(encoding="utf-8")
    for key, old, value in (("seed", "0", seed), ("count", "60", count), ("types", "[]", types)):
        assert f"\n{key} = {old}\n" in text
        text = text.replace(f"\n{key} = {old}\n", f"\n{key} = {value}\n")
    file.write_text(text, encoding="utf-8")
    with open_project(folder) as project:
        done = run(project, Quiet())
        assert {name: outcome.refused for name, outcome in done.outcomes.items() if outcome.refused} == {}
        assert [str(finding) for finding in done.findings] == []
        return records(project)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize(("kind", "types"), [("entity", '["dish"]'), ("semantic", '["posture"]'), ("user", '["bag"]')])
def test_one_type_gives_records_without_findings(tmp_path: Path, kind: Kind, types: str) -> None:
    found = made(tmp_path / "project", kind, types=types)
    assert len(found) == {"entity": 13, "semantic": 7, "user": 5}[kind]


class Sixty(NamedTuple):
    """A project of the first seed, and what was made in it."""

    kind: Kind
    folder: Path
    records: list[Record]


@pytest.fixture(scope="module", params=KINDS)
def sixty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sixty:
    folder = tmp_path_factory.mktemp("sixty") / "project"
    return Sixty(request.param, folder, made(folder, request.param))


@pytest.mark.slow
def test_sixty_records_of_each_kind_without_findings_twice_the_same_bytes(sixty: Sixty, tmp_path: Path) -> None:
    assert len(sixty.records) == len(made(tmp_path / "other", sixty.kind)) == 60
    assert files_of(sixty.folder) == files_of(tmp_path / "other")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_thing_that_comes_with_mmke_can_be_edited(tmp_path: Path, kind: Kind) -> None:
    found = made(tmp_path / "project", kind, seed=3, count=100)
    assert len({record.edit.draft.subject.id for record in found}) == len(found) == THINGS[kind]


@pytest.mark.slow
def test_unrelated_things_and_neighbours_are_dealt_once_and_sides_are_even(sixty: Sixty) -> None:
    found = sixty.records
    assert len({record.asked.locality_picture for record in found}) == 60
    plans = [question.plan for record in found for question in record.asked.questions]
    facts = [question.text for record in found for question in record.asked.questions if question.plan.key == "t_loc"]
    assert len(set(facts)) == 60
    sides = Counter(plan.side for plan in plans if plan.side is not None)
    beside = Counter(plan.beside for plan in plans if plan.beside is not None)
    assert sides == ({} if sixty.kind == "entity" else {"left": 30, "right": 30})
    assert set(beside.values()) <= {1}
