"""Which records are exported, in which split, and what is told of those that are not."""

import json
from pathlib import Path

import pytest
from export_kit import decide, exported, lines
from kit import make_project

from mmke.build.content import Decision
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.errors import UserError


def test_accepted_and_corrected_records_are_exported_and_no_others(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    with open_project(folder) as project:
        for n in range(4):
            decide(project, n, "accept")
        old = records(project)[4].texts["rephrase"]
        decide(project, 4, "correct", corrections={"rephrase": "Name its owner."}, before={"rephrase": old})
        decide(project, 5, "reject", reasons=("wrong fact",))
    outcome = exported(folder, tmp_path / "out", unverified=False)
    assert (outcome.made, outcome.refused) == (5, {"entity/flag/fenn": "it was rejected"})
    told = lines(tmp_path / "out" / "provenance" / "entity.jsonl")
    assert [each["state"] for each in told] == ["accepted"] * 4 + ["corrected"]
    assert told[4]["before_correction"] == {"rephrase": old}
    raws = [
        raw
        for side in ("train", "eval")
        for raw in json.loads((tmp_path / "out" / "data_json" / f"entity_{side}.json").read_text())
    ]
    assert [raw["rephrase"] for raw in raws if raw["tags"]["subject"] == "Elba"] == ["Name its owner."]
    assert (
        "of all records that were made, 4 accepted, 1 corrected, 1 rejected."
        in (tmp_path / "out" / "README.md").read_text()
    )


def test_verdicts_name_nobody_unless_told(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    with open_project(folder) as project:
        for n in range(6):
            decide(project, n, "accept")
    exported(folder, tmp_path / "out", unverified=False)
    there = b"".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert not any(name in there for name in (b"Ada", b"Byrd", b"Carla", b"2026-01-01"))
    told = lines(tmp_path / "out" / "verdicts" / "entity.jsonl")
    assert [each["annotator"] for each in told[:3]] == ["annotator 1", "annotator 2", "annotator 1"]
    exported(folder, tmp_path / "out", unverified=False, names=True)
    named = lines(tmp_path / "out" / "verdicts" / "entity.jsonl")[0]
    assert (named["annotator"], named["comment"]) == ("Ada Lovelace", "Ask Carla about it.")


def test_a_record_with_a_finding_is_left_out_with_its_reason(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    (folder / "pictures" / "flag-boria-0.png").unlink()
    (folder / "pictures" / "unrelated-1.png").write_bytes(b"another picture")
    outcome = exported(folder, tmp_path / "out")
    assert outcome.made == 4
    assert outcome.refused == {
        "entity/flag/aland": "picture-files: pictures.edit: flag-boria-0.png cannot be read (No such file or "
        "directory); collect again",
        "entity/flag/boria": "picture-files: pictures.locality: unrelated-1.png was changed since it was collected; "
        "put it back, or collect again",
    }


@pytest.mark.parametrize(
    ("decision", "unverified", "told"),
    [
        (None, False, "none of 6 records is accepted yet; mmke build verify .*, --unverified exports"),
        ("reject", False, "every record was rejected"),
        ("reject", True, "every record was rejected"),
    ],
)
def test_a_project_without_a_record_to_export_says_the_way_out(
    tmp_path: Path, decision: Decision | None, unverified: object, told: str
) -> None:
    folder = make_project(tmp_path / "project")
    if decision is not None:
        with open_project(folder) as project:
            for n in range(6):
                decide(project, n, decision, reasons=("wrong fact",))
    with pytest.raises(UserError, match=told):
        exported(folder, tmp_path / "out", unverified=bool(unverified))
    assert not (tmp_path / "out").exists()


def test_a_project_in_which_every_record_has_a_finding_names_the_rules(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    for file in (folder / "pictures").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"the rules find something in each of 6 records.*mmke build check"):
        exported(folder, tmp_path / "out")


def test_records_that_cannot_be_divided_are_no_benchmark(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", count=2)
    with pytest.raises(UserError, match=r"the train split has no record.*all of them share pictures or things"):
        exported(folder, tmp_path / "out")
    file = make_project(tmp_path / "other") / "build.toml"
    file.write_text(file.read_text().replace("train = 0.4", "train = 0.0"))
    with pytest.raises(UserError, match=r"\[export\].train = 0 leaves none for it"):
        exported(tmp_path / "other", tmp_path / "out")


def test_records_of_an_earlier_export_stay_in_their_split(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    with open_project(folder) as project:
        for n in range(4):
            decide(project, n, "accept")
    exported(folder, tmp_path / "out", unverified=False)
    first = {each["record"]: each["split"] for each in lines(tmp_path / "out" / "provenance" / "entity.jsonl")}
    with open_project(folder) as project:
        for n in (4, 5):
            decide(project, n, "accept")
    exported(folder, tmp_path / "out", unverified=False)
    later = {each["record"]: each["split"] for each in lines(tmp_path / "out" / "provenance" / "entity.jsonl")}
    assert len(later) == 6
    assert {id_: later[id_] for id_ in first} == first


def test_licences_that_no_longer_allow_it_keep_a_picture_out(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project")
    with open_project(folder) as project:
        entry = project.pictures.get("flag-boria-0.png")
        assert entry is not None
        refused = entry.content.model_copy(update={"refused": "its licence CC-BY-NC-4.0 forbids sale"})
        project.pictures.put(entry.id, refused, sources=(), by={}, inputs="")
    outcome = exported(folder, tmp_path / "out")
    assert outcome.refused == {
        "entity/flag/aland": "picture-files: pictures: flag-boria-0.png is refused: its licence CC-BY-NC-4.0 forbids "
        "sale"
    }
