"""Where annotation files and pictures are looked for, by a benchmark's name or one's own file."""

import hashlib
import json
from pathlib import Path

import pytest
from published_records import Raw, record

from mmke.benchmarks import embedded
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.errors import UserError
from mmke.types import STRICT

FLAT = ("data_json/entity_train.json", "data_json/entity_eval.json")
NESTED = ("data_json/entity/train.json", "data_json/entity/eval.json")


def write(root: Path, layout: tuple[str, str], *, prompt: str) -> None:
    for name in layout:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([record("entity", src=f"{prompt} {file.stem[-4:]}?")]))


def prompts(name: str, data: Path | None, *, split: str = "eval") -> list[str]:
    benchmark = open_benchmark(name, data=data)
    assert isinstance(benchmark, AnnotationBenchmark)
    loaded = benchmark.load("train" if split == "train" else "eval", hop=0, switches=STRICT)
    return [case.edits[0].query.text for case in loaded.cases]


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("layout", [FLAT, NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize("split", ["train", "eval"])
def test_both_layouts_of_the_published_folder_are_read(layout: tuple[str, str], split: str, tmp_path: Path) -> None:
    write(tmp_path, layout, prompt="Ours")
    assert prompts("mmke-entity", tmp_path, split=split) == [f"Ours {split[-4:]}?"]


@pytest.mark.usefixtures("pictures")
def test_the_flat_layout_is_looked_for_first(tmp_path: Path) -> None:
    write(tmp_path, NESTED, prompt="Nested")
    write(tmp_path, FLAT, prompt="Flat")
    assert prompts("mmke-entity", tmp_path) == ["Flat eval?"]


@pytest.mark.usefixtures("pictures")
def test_without_data_the_current_folder_is_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FLAT, prompt="Here")
    monkeypatch.chdir(tmp_path)
    assert prompts("mmke-entity", None) == ["Here eval?"]


@pytest.mark.parametrize("kind", ["entity", "visual", "user"])
def test_missing_files_are_named_with_the_way_to_get_them(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_benchmark(f"mmke-{kind}", data=tmp_path)
    text = str(caught.value)
    for split in ("train", "eval"):
        flat, nested = tmp_path / f"data_json/{kind}_{split}.json", tmp_path / f"data_json/{kind}/{split}.json"
        assert f"{flat} or {nested}" in text
    assert f"mmke fetch mmke --to {tmp_path} (the hub's" in text
    assert f"{tmp_path}/data_image/{kind}/" in text


def test_only_the_files_that_are_missing_are_named(tmp_path: Path) -> None:
    write(tmp_path, FLAT, prompt="x")
    (tmp_path / FLAT[0]).unlink()
    with pytest.raises(UserError) as caught:
        open_benchmark("mmke-entity", data=tmp_path)
    looked_for = str(caught.value).partition("Get them")[0]
    assert str(tmp_path / FLAT[0]) in looked_for
    assert str(tmp_path / FLAT[1]) not in looked_for


def revision(root: Path) -> str:
    return open_benchmark("mmke-entity", data=root).revision


@pytest.mark.parametrize("changed", FLAT)
def test_the_revision_changes_with_either_annotation_file_and_nothing_else(changed: str, tmp_path: Path) -> None:
    write(tmp_path / "a", FLAT, prompt="x")
    write(tmp_path / "b", NESTED, prompt="x")
    before = revision(tmp_path / "a")
    assert before == revision(tmp_path / "b")
    (tmp_path / "a" / changed).write_text("[]")
    assert revision(tmp_path / "a") != before


@pytest.mark.usefixtures("pictures")
def test_embedded_benchmarks_come_from_the_package_whatever_data_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, FLAT, prompt="Embedded")
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    assert prompts("mini-entity", tmp_path / "elsewhere") == ["Embedded eval?"]


def own(file: Path, raw: Raw) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([raw]))
    return file


def test_an_own_file_carries_its_name_and_its_sha256(tmp_path: Path) -> None:
    file = own(tmp_path / "cats.json", record("user"))
    benchmark = open_benchmark(str(file), data=None)
    assert (benchmark.name, benchmark.revision) == ("cats.json", hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.mark.parametrize("place", ["cats.json", "data_json/cats.json"])
def test_an_own_files_pictures_lie_in_data_image_beside_it(place: str, tmp_path: Path, pictures: Path) -> None:
    file = own(tmp_path / place, record("user", src="Own?"))
    assert prompts(str(file), None) == ["Own?"]


def test_an_own_files_pictures_may_lie_in_its_folder(tmp_path: Path, pictures: Path) -> None:
    assert prompts(str(own(pictures / "cats.json", record("user", src="Own?"))), None) == ["Own?"]


@pytest.mark.parametrize("below", ["", "data_image"])
def test_data_says_where_an_own_files_pictures_lie(below: str, tmp_path: Path, pictures: Path) -> None:
    file = own(tmp_path / "far" / "cats.json", record("user", src="Own?"))
    assert prompts(str(file), tmp_path / below) == ["Own?"]


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(("name", "sibling"), [("cats_eval.json", "cats_train.json"), ("eval.json", "train.json")])
def test_an_own_training_split_is_the_sibling(name: str, sibling: str, tmp_path: Path) -> None:
    file = own(tmp_path / name, record("user"))
    own(tmp_path / sibling, record("user", src="Training?"))
    assert prompts(str(file), None, split="train") == ["Training?"]


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("name", ["cats.json", "cats_eval.json", "retrieval.json"])
def test_an_own_file_without_a_sibling_has_an_empty_training_split(name: str, tmp_path: Path) -> None:
    file = own(tmp_path / name, record("user"))
    own(tmp_path / "train.json", record("user"))
    assert prompts(str(file), None, split="train") == []


@pytest.mark.parametrize("name", ["absent.json", "folder/absent", "./absent_eval.json"])
def test_an_own_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"no benchmark file '{name}'"):
        open_benchmark(name, data=None)


def test_an_unknown_name_gets_the_nearest_match() -> None:
    with pytest.raises(UserError, match="did you mean 'mmke-visual'"):
        open_benchmark("mmke-visaul", data=None)


@pytest.mark.parametrize("name", ["mmke-entity", "loop/own.json"])
def test_a_link_that_leads_to_itself_is_told_as_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"looked for"):
        open_benchmark(name, data=Path("loop"))
