"""`mmke check` decodes every picture, judges both splits at once, and counts what a run would use."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from published_records import record

from mmke.benchmarks.check import check
from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.errors import UserError
from mmke.types import Split, Switches

Dataset = Callable[..., AnnotationBenchmark]


def test_sound_data_have_no_problems_and_their_counts(dataset: Dataset) -> None:
    benchmark = dataset(record("entity"), record("entity", src="Which?"), record("user"), record("visual", alt=""))
    report = check(benchmark, hop=1)
    (split,) = report.splits
    assert report.passed
    assert (split.records, dict(split.readable), dict(split.hops)) == (4, {"entity": 2, "user": 1}, {1: 3})
    assert (split.without_description, split.without_hop, split.repeated, split.pictures) == (1, 0, 0, 4)


def test_the_report_says_what_it_counted(dataset: Dataset) -> None:
    raws = [record("entity"), record("entity"), record("user", without=["port_new"]), record("visual", alt="")]
    text = check(dataset(*raws), hop=1).text()
    assert "ours: no problems (revision revision)" in text
    assert "4 records; usable: entity 2, user 1; pictures: 4; portability: 1-hop in 2" in text
    assert "1 skipped: alt is empty" in text
    assert "1 without a question of the hop" in text
    assert "1 equal to an earlier record" in text


def test_pictures_that_are_stored_turned_are_counted(dataset: Dataset, pictures: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(pictures / "turned.jpg", exif=exif)
    text = check(dataset(record("entity", image="turned.jpg"), record("user", image="turned.jpg")), hop=1).text()
    assert "EXIF orientation in 1 picture: strict applies it, paper ignores it" in text


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_picture_is_named(kept: float, dataset: Dataset, pictures: Path) -> None:
    Image.effect_noise((64, 64), 80).save(pictures / "noise.jpg")
    content = (pictures / "noise.jpg").read_bytes()
    (pictures / "cut.jpg").write_bytes(content[: int(len(content) * kept)])
    text = check(dataset(record("entity"), record("user", one_hop_img="cut.jpg")), hop=1).text()
    assert f"entity_eval.json: record 1, field 'one_hop_img': 'cut.jpg' under {pictures} is no picture, or a" in text


@pytest.mark.parametrize("place", [20, 60, 2_000])
def test_a_damaged_picture_is_named(place: int, dataset: Dataset, pictures: Path) -> None:
    Image.effect_noise((64, 64), 80).save(pictures / "noise.png")
    content = bytearray((pictures / "noise.png").read_bytes())
    content[place] ^= 0xFF
    (pictures / "bad.png").write_bytes(content)
    report = check(dataset(record("entity", image="bad.png")), hop=1)
    assert "record 0, field 'image': 'bad.png'" in report.text()


def test_a_picture_that_only_decoding_finds_broken_leaves_the_data_usable(dataset: Dataset, pictures: Path) -> None:
    (pictures / "cut.ppm").write_bytes(b"P6 64 64 255 too few")
    text = check(dataset(record("entity", image_rephrase="cut.ppm")), hop=1).text()
    assert "'cut.ppm' under" in text
    assert "usable: entity 1" in text


def test_problems_of_both_splits_are_told_at_once(dataset: Dataset, tmp_path: Path) -> None:
    benchmark = dataset(record("entity", src=""))
    training = tmp_path / "entity_train.json"
    training.write_text(json.dumps([record("entity"), record("entity", loc=3)]))
    benchmark.files = {"train": training, **benchmark.files}
    text = check(benchmark, hop=1).text()
    assert "ours: 2 problems (" in text
    assert f"{training}: record 1, field 'loc': expected a text" in text
    assert f"{benchmark.files['eval']}: record 0, field 'src': empty" in text


def test_a_hop_that_leaves_nothing_is_a_problem_of_the_evaluation_split_alone(dataset: Dataset, tmp_path: Path) -> None:
    benchmark = dataset(record("entity"))
    training = tmp_path / "entity_train.json"
    training.write_text(json.dumps([record("entity", without=["port_new"])]))
    benchmark.files = {"train": training, **benchmark.files}
    assert check(benchmark, hop=1).passed
    text = check(benchmark, hop=2).text()
    assert "ours: 1 problem (" in text
    assert "entity_eval.json: field 'port_new': no record has a 2-hop question; hops in this file: 1-hop (in 1)" in text


def test_portability_questions_are_judged_whatever_the_hop(dataset: Dataset) -> None:
    report = check(dataset(record("entity", port_new="none")), hop=0)
    assert "record 0, field 'port_new': expected a list" in report.text()


def test_a_hop_that_does_not_exist_is_refused(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="hop 7 does not exist"):
        check(dataset(record("entity")), hop=7)


def test_a_benchmark_of_another_package_judges_itself() -> None:
    class Foreign:
        name = "foreign"
        revision = "0" * 64

        def load(self, split: str, *, hop: int, switches: Switches) -> Split:
            raise UserError(f"{split} is broken")

    with pytest.raises(UserError, match="train is broken"):
        check(Foreign(), hop=1)
