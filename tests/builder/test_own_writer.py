"""The writer and the tables of words in the documentation work as they stand there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vases import asked, make_vases, reading, some_vases, vase, written

from mmke.build.content import Fact
from mmke.build.records import records
from mmke.build.rules.check import check

PAGE = (Path(__file__).parents[2] / "docs/building-records.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the page's writer as a package of its own."""
    (code,), points = blocks("python"), blocks("toml")[1]
    package, metadata = tmp_path / "my_package", tmp_path / "my_package-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plain.py").write_text(code)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    point = points.splitlines()[1].replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[mmke.writers]\n{point}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for module in ("my_package", "my_package.plain"):
        sys.modules.pop(module, None)


@pytest.mark.usefixtures("installed")
def test_the_writer_of_the_page_writes_records_that_every_rule_passes(tmp_path: Path) -> None:
    folder = make_vases(tmp_path / "project", "entity", some_vases(6), writer='"plain"')
    assert written(folder).made == 6
    assert asked(folder).made == 6
    with reading(folder) as project:
        found = records(project)
        assert [str(finding) for finding in check(project, found)] == []
        assert {entry.by["writer"] for entry in project.edits} == {"plain"}
    assert all(record.edit.texts.prompt == "Tell me about the vase in the image." for record in found)


@pytest.mark.usefixtures("installed")
def test_what_the_writer_of_the_page_does_not_write_is_told(tmp_path: Path) -> None:
    folder = make_vases(tmp_path / "project", "user", some_vases(2), writer='"plain"')
    assert set(written(folder).refused.values()) == {"the writer plain writes entities, not user"}


def test_the_tables_of_the_page_compose_to_the_question_that_it_shows(tmp_path: Path) -> None:
    towns = {"Delft": "Ada Brink", "Gouda": "Bo Cramer", "Hoorn": "Cas Dekker", "Breda": "Dana Evers"}
    things = [
        vase(f"{name} vase", keeper=town, colour=colour)
        for name, town, colour in zip(
            ("Dawn", "Dusk", "Noon", "Rain"), towns, ("red", "blue", "green", "white"), strict=True
        )
    ]
    with_mayors = [
        thing.model_copy(
            update={
                "facts": tuple(
                    fact.model_copy(update={"further": (Fact(relation="mayor", value=towns[fact.value]),)})
                    if fact.relation == "keeper"
                    else fact
                    for fact in thing.facts
                )
            }
        )
        for thing in things
    ]
    folder = make_vases(tmp_path, "entity", with_mayors, changes="2")
    with (folder / "build.toml").open("a") as out:
        out.write(blocks("toml")[0])
    written(folder)
    asked(folder)
    with reading(folder) as project:
        found = records(project)
    assert len(found) == 4
    questions = {
        question.text for record in found for question in record.asked.questions if question.plan.key == "port"
    }
    wording = "Who is the mayor of the town in which the vase in the image is kept?"
    assert wording in PAGE
    assert questions <= {wording, wording.replace("Who is", "What is the name of")}
    assert wording in questions
