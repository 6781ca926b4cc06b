"""An export is in the published format, whole or not there, the same each time, and says how it came about."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kit import make_project

from mmke.benchmarks.check import check
from mmke.benchmarks.open import open_benchmark
from mmke.build.content import Decision, Kind, Verdict
from mmke.build.export import folder as folders
from mmke.build.export.citation import citation
from mmke.build.export.export import export
from mmke.build.project import Project, open_project
from mmke.build.protocols import Outcome
from mmke.build.records import records
from mmke.errors import UserError
from mmke.types import STRICT

PUBLISHED = {"entity": "entity", "semantic": "visual", "user": "user"}


def exported(project: Path, to: Path, *, unverified: bool = True, names: bool = False) -> Outcome:
    with open_project(project) as opened:
        return export(opened, to, unverified=unverified, names=names)


def decide(project: Project, n: int, decision: Decision, **more: Any) -> None:
    """Let two people decide the same of a record, so that it stands whether one or two are asked."""
    record = records(project)[n]
    for person in ("Ada Lovelace", "Bob Byrd"):
        verdict = Verdict(
            record=record.id,
            content=record.content,
            annotator=person,
            turn="first" if person.startswith("Ada") else "second",
            decision=decision,
            comment="Ask Carla about it.",
            time="2026-01-01T10:00:00+00:00",
            **more,
        )
        project.verdicts.put(
            f"{record.id} {person}", verdict, sources=(record.id,), by={"annotator": person}, inputs=""
        )


def content(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of each kind, and the projects beside it."""
    root = tmp_path_factory.mktemp("three")
    kinds: tuple[Kind, ...] = ("entity", "semantic", "user")
    for kind in kinds:
        exported(make_project(root / kind, kind), root / "out")
    return root


@pytest.mark.parametrize("kind", PUBLISHED)
def test_each_kind_is_in_the_published_format(three: Path, kind: str) -> None:
    report = check(open_benchmark(f"mmke-{PUBLISHED[kind]}", data=three / "out"), hop=1)
    assert report.passed, report.text()
    assert [split.records for split in report.splits] == [2, 4]
    assert all(split.notes == () for split in report.splits)
    assert [split.without_hop for split in report.splits] == [0, 0]


def test_a_run_finds_all_questions(three: Path) -> None:
    cases = open_benchmark("mmke-entity", data=three / "out").load("eval", hop=1, switches=STRICT).cases
    assert [len(case.probes) for case in cases] == [12] * 4
    assert all(not case.unscored for case in cases)


def test_the_questions_of_a_record_stand_where_the_format_has_them(three: Path) -> None:
    found = {
        kind: json.loads((three / "out" / "data_json" / f"{kind}_{side}.json").read_text())
        for kind in PUBLISHED.values()
        for side in ("train", "eval")
        if any(
            each["tags"]["record"].endswith("aland")
            for each in json.loads((three / "out" / "data_json" / f"{kind}_{side}.json").read_text())
        )
    }
    entity, visual, user = (
        next(each for each in found[kind] if each["tags"]["subject"] == "Aland") for kind in PUBLISHED.values()
    )
    assert (entity["rel_1"], entity["rel_ans_1"]) == ("What is the capital of Aland?", "Cordo")
    assert (entity["m_rel_ans_2"], entity["loc_ans"], entity["m_loc_a"]) == ("1833", "cold", "wolf")
    assert entity["port_new"][0]["Q&A"]["Answer"] == "the Corer"
    assert entity["image"] == "entity/flag-boria-0.png"
    assert "one_hop_img" not in entity
    assert (visual["rel"], visual["m_rel_ans"]) == ("What is the capital of Aland?", "1833")
    assert visual["image_rephrase_question"].startswith("In which year")
    assert visual["one_hop_img"] == "visual/beside-0.png"
    assert visual["tags"] == {
        "record": "semantic/flag/aland",
        "subject": "Aland",
        "pictured": "Boria",
        "beside": "lemon",
        "verified": "open",
    }
    assert user["knowledge_type"] == "user_specific"
    assert user["pred"].startswith("This is the flag of Aland")


@pytest.mark.parametrize("kind", PUBLISHED)
def test_no_picture_and_no_thing_is_in_both_splits(three: Path, kind: str) -> None:
    manifest = json.loads((three / "out" / "manifest.json").read_text())
    side = {each["record"]: each["split"] for each in lines(three / "out" / "provenance" / f"{PUBLISHED[kind]}.jsonl")}
    assert set(side.values()) == {"train", "eval"}
    held: dict[str, set[str]] = {}
    for path, told in manifest["pictures"].items():
        if path.startswith(PUBLISHED[kind]):
            for part in told.get("made_of", [told]):
                for key in (part["sha256"], part["thing"]):
                    held.setdefault(key, set()).update(side[record] for record in told["records"])
    assert len(held) > 6
    assert all(len(sides) == 1 for sides in held.values())


def test_the_manifest_tells_of_every_picture_and_every_file(three: Path) -> None:
    out = three / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    there = content(out)
    del there["manifest.json"]
    assert manifest["files"] == there
    pictures = {path.removeprefix("data_image/") for path in there if path.startswith("data_image/")}
    assert set(manifest["pictures"]) == pictures
    assert manifest["pictures"]["entity/flag-boria-0.png"] == {
        "picture": "flag-boria-0.png",
        "thing": "flag/boria",
        "origin": "https://example.org/flag-boria-0.png",
        "author": "A. Painter",
        "licence": "CC-BY-4.0",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/",
        "sha256": there["data_image/entity/flag-boria-0.png"],
        "width": 240,
        "height": 240,
        "records": ["entity/flag/aland"],
    }
    halves = manifest["pictures"]["visual/beside-0.png"]["made_of"]
    assert [half["picture"] for half in halves] == ["flag-boria-0.png", "lemon-0.png"]
    assert (
        "| lemon-0.png | A. Painter | CC-BY-4.0 | https://example.org/lemon-0.png |"
        in (out / "ATTRIBUTION.md").read_text()
    )


def test_the_card_has_the_header_of_the_hub_and_says_that_nobody_verified(three: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(three / "out" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == ["entity", "visual", "user"]
    files = [each["path"] for config in card.data.to_dict()["configs"] for each in config["data_files"]]
    assert len(files) == 6
    assert all((three / "out" / path).is_file() for path in files)
    assert card.text.count("**Exported without verification**") == 3
    assert "| user | **all** | 2 | 4 |" in card.text
    assert "| [CC-BY-4.0](https://creativecommons.org/licenses/by/4.0/) | 24 | yes | no |" in card.text


@pytest.mark.slow
def test_an_export_can_be_run_at_once(three: Path, tmp_path: Path) -> None:
    import mmke

    request = mmke.Request(
        "tiny-llava",
        ("none",),
        ("mmke-entity",),
        data=three / "out",
        out=tmp_path,
        limit=1,
        weights="random",
    )
    cells = mmke.run_benchmark(request)
    assert [cell.benchmark for cell in cells] == ["mmke-entity"]


def test_the_same_project_gives_the_same_bytes_whichever_kind_is_exported_first(three: Path, tmp_path: Path) -> None:
    for kind in ("user", "semantic", "entity"):
        exported(three / kind, tmp_path / "out")
    assert content(tmp_path / "out") == content(three / "out")
    exported(three / "semantic", tmp_path / "out")
    assert content(tmp_path / "out") == content(three / "out")


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


def test_a_place_with_anything_else_is_refused_and_left_as_it_was(three: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file; --to takes the folder"):
        exported(three / "entity", tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        exported(three / "entity", tmp_path / "file" / "below")
    with pytest.raises(UserError, match="holds something that no export wrote"):
        exported(three / "entity", three / "semantic")
    out = tmp_path / "out"
    shutil.copytree(three / "out", out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which no export wrote"):
        exported(three / "entity", out)
    (out / "notes.txt").unlink()
    (out / "README.md").write_text("my own words")
    with pytest.raises(UserError, match=r"README.md was changed since it was exported"):
        exported(three / "entity", out)
    assert (out / "README.md").read_text() == "my own words"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_an_empty_folder_is_taken(three: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert exported(three / "entity", tmp_path / "out").made == 6


@pytest.mark.parametrize("at", [3, 17])
def test_a_full_disk_leaves_what_was_there(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(three / "out", out)
    before, copy, copied = content(out), shutil.copyfile, []

    def full(source: Path, target: Path) -> object:
        copied.append(target)
        if len(copied) == at:
            raise OSError(28, "No space left on device", str(target))
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"out cannot be written \(No space left on device\); what was there before"):
        exported(three / "entity", out)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


class KilledError(BaseException):
    """Stands for a kill: nothing of the program runs after it."""


@pytest.mark.parametrize("after", range(2))
def test_a_kill_while_folders_are_exchanged_loses_nothing(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    out = tmp_path / "out"
    shutil.copytree(three / "out", out)
    before, rename, done = content(out), Path.rename, []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == after:
            raise KilledError
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        # What a kill leaves: the folder beside is not cleared away.
        patched.setattr(folders.shutil, "rmtree", lambda *args, **kwargs: None)
        with pytest.raises(KilledError):
            exported(three / "entity", out)
    assert out.exists() == (after == 0)
    exported(three / "entity", out)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


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


def part(**more: Any) -> Mapping[str, Any]:
    return {"authors": [], "licence": "CC-BY-4.0", "records": {"train": 2, "eval": 3}, **more}


def test_a_citation_names_persons_and_the_licence_where_there_is_one() -> None:
    one = citation("birds", [part(authors=["Lovelace, Ada", "The Bird Group"])])
    assert "- family-names: Lovelace\n  given-names: Ada\n- name: The Bird Group\n" in one
    assert "license: CC-BY-4.0\n" in one
    assert "abstract: 5 records" in one
    two = citation("birds", [part(), part(licence="CC0-1.0")])
    assert "license" not in two
    assert "- name: The makers of birds\n" in two
