"""What is in an export: the published format, the splits, the manifest, the card, the citation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from export_kit import content, lines

from mmke.benchmarks.check import check
from mmke.benchmarks.open import open_benchmark
from mmke.build.export.citation import citation
from mmke.types import STRICT

PUBLISHED = {"entity": "entity", "semantic": "visual", "user": "user"}


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
