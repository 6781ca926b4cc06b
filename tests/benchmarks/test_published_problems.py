"""Each thing that can be wrong with a data set is told with its file, record, field and what was expected."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from published_records import RECORDS, Raw, record

from mmke.benchmarks.check import check
from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.errors import UserError
from mmke.types import STRICT

Dataset = Callable[..., AnnotationBenchmark]


def complaint(benchmark: AnnotationBenchmark, *, hop: int = 1) -> str:
    with pytest.raises(UserError) as caught:
        benchmark.load("eval", hop=hop, switches=STRICT)
    return str(caught.value)


def port(**changed: Any) -> list[Raw]:
    return [{"port_type": "1-hop", "Q&A": {"Question": "Where?", "Answer": "There"}, **changed}]


@pytest.mark.parametrize(
    # Where `port_new` is missing the hop rules decide.
    ("kind", "field"),
    [(kind, field) for kind in RECORDS for field in RECORDS[kind] if field != "port_new"],
)
def test_a_missing_field_is_named(kind: str, field: str, dataset: Dataset) -> None:
    text = complaint(dataset(record(kind), record(kind, without=[field])))
    spelling = f"{field} or {field.replace('_ans_1', '_1_ans').replace('_ans_2', '_2_ans')}"
    named = spelling if field[-2:] in {"_1", "_2"} and "_ans" in field else field
    assert f"entity_eval.json: record 1, field '{named}': missing; expected a text" in text


@pytest.mark.parametrize("field", ["src", "rephrase", "rel_ans_1", "m_rel_2", "loc", "m_loc_a", "image", "m_loc"])
@pytest.mark.parametrize("value", ["", " \n"])
def test_an_empty_field_is_named(field: str, value: str, dataset: Dataset) -> None:
    text = check(dataset(record("entity", **{field: value})), hop=1).text()
    assert f"entity_eval.json: record 0, field {field!r}: empty; expected a text" in text


@pytest.mark.parametrize(
    ("value", "found"),
    [(3, "a number"), (None, "nothing (null)"), (["x"], "a list"), ({}, "an object"), (True, "true or false")],
)
def test_a_field_of_another_type_is_named(value: Any, found: str, dataset: Dataset) -> None:
    text = complaint(dataset(record("user", m_rel_1=value)))
    assert f"entity_eval.json: record 0, field 'm_rel_1': expected a text, found {found}" in text


def test_half_a_character_is_named(dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", alt="a cat \ud83d")))
    assert r"record 0, field 'alt': holds half a character (a lone surrogate): 'a cat \ud83d'" in text


def test_an_unknown_knowledge_type_gets_the_nearest_match(dataset: Dataset) -> None:
    text = complaint(dataset(record("visual"), record("visual", knowledge_type="visual_knowlege")))
    assert "entity_eval.json: record 1, field 'knowledge_type': unknown: 'visual_knowlege'; did you mean" in text
    assert "did you mean 'visual_knowledge'?" in text


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ("none", "port_new", "expected a list of questions, found a text"),
        (["1-hop"], "port_new[0]", 'expected an object with "port_type" and "Q&A", found a text'),
        (port(port_type="5-hop"), "port_new[0].port_type", "expected one of 1-hop, 2-hop, 3-hop, 4-hop, found '5-hop'"),
        (port(port_type=1), "port_new[0].port_type", "expected one of 1-hop, 2-hop, 3-hop, 4-hop, found 1"),
        (port(**{"Q&A": "x"}), 'port_new[0]."Q&A"', 'expected an object with "Question" and "Answer", found a text'),
        (port(**{"Q&A": {"Question": "Who?"}}), 'port_new[0]."Q&A".Answer', "missing; expected a text"),
    ],
)
def test_a_malformed_portability_question_is_named(value: Any, field: str, expected: str, dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", port_new=value), record("entity")))
    assert f"entity_eval.json: record 0, field {field!r}: {expected}" in text


@pytest.mark.parametrize("tags", ["trained", ["trained"], {"style": 3}])
def test_tags_that_are_no_texts_are_named(tags: Any, dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", tags=tags)))
    assert "entity_eval.json: record 0, field 'tags': expected an object of texts, found" in text


def test_a_tag_in_the_place_of_the_kind_is_named(dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", tags={"knowledge": "mine"})))
    assert "record 0, field 'tags': 'knowledge' is set from knowledge_type" in text


@pytest.mark.parametrize("raw", ["text", 3, None, ["list"]])
def test_a_record_that_is_no_object_is_named(raw: Any, dataset: Dataset) -> None:
    text = complaint(dataset(record("entity"), raw))
    assert f"entity_eval.json: record 1: expected an object, found {json.dumps(raw)}" in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"src": "x",\n  "alt" "y"}]', "is not JSON: Expecting ':' delimiter at line 2, column 9"),
        (b'{"a": 1}\n{"a": 2}\n', "at line 2, column 1 (one record a line? name the file ….jsonl)"),
        (b"", "is not JSON: Expecting value at line 1, column 1"),
        (b'{"records": []}', 'expected one list of records, found {"records": []}'),
        (b"null", "expected one list of records, found null"),
        (b"[]", "holds an empty list; expected at least one record"),
        (b'["caf\xe9"]', "is not UTF-8 (byte 5 is 0xe9); expected UTF-8 without a byte-order mark"),
        ("[]".encode("utf-16"), "is not UTF-8 (byte 0 is 0xff)"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[" + b"9" * 5_000 + b"]", "holds a number that cannot be read: Exceeds the limit"),
    ],
    ids=["syntax", "lines", "nothing", "object", "null", "empty", "latin-1", "utf-16", "deep", "digits"],
)
def test_a_file_that_is_no_list_of_records_is_named(content: bytes, expected: str, dataset: Dataset) -> None:
    text = complaint(dataset(content=content))
    assert "entity_eval.json: " in text
    assert expected in text


def test_a_byte_order_mark_is_a_problem_and_hides_no_other(dataset: Dataset) -> None:
    content = b"\xef\xbb\xbf" + json.dumps([record("entity", src=3)]).encode()
    text = complaint(dataset(content=content))
    assert "entity_eval.json: begins with a byte-order mark; expected UTF-8 without one" in text
    assert "record 0, field 'src'" in text


def test_a_file_of_skipped_records_only_is_a_problem(dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", alt="")))
    assert "entity_eval.json: field 'alt': every record is skipped; expected at least one description" in text


def test_a_skipped_record_is_not_judged(dataset: Dataset) -> None:
    split = dataset({"alt": ""}, record("entity")).load("eval", hop=1, switches=STRICT)
    assert [case.id for case in split.cases] == ["entity-00001"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [("entity", "image"), ("entity", "image_rephrase"), ("entity", "m_loc"), ("user", "one_hop_img")],
)
def test_a_picture_that_is_not_there_is_named(kind: str, field: str, dataset: Dataset) -> None:
    benchmark = dataset(record(kind), record(kind, **{field: "entity/lost.png"}))
    text = complaint(benchmark)
    expected = f"record 1, field {field!r}: no picture 'entity/lost.png' under {benchmark.pictures}"
    assert expected in text


@pytest.mark.parametrize("value", ["/etc/hostname", "../secret.png", "entity/../../secret.png", ".."])
def test_a_picture_path_must_stay_in_the_picture_folder(value: str, dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", image=value)))
    assert f"record 0, field 'image': {value!r} leads out of the picture folder" in text


def _png(folder: Path) -> bytes:
    Image.effect_noise((64, 64), 80).save(folder / "noise.png")
    return (folder / "noise.png").read_bytes()


def test_a_file_that_is_no_picture_is_named(dataset: Dataset, pictures: Path) -> None:
    (pictures / "page.png").write_text("<html>404</html>")
    text = complaint(dataset(record("entity", image="page.png")))
    assert f"field 'image': 'page.png' under {pictures} is no picture, or a broken one" in text
    assert "BytesIO" not in text


def test_an_empty_picture_file_is_named(dataset: Dataset, pictures: Path) -> None:
    (pictures / "empty.png").touch()
    text = complaint(dataset(record("entity", m_loc="empty.png")))
    assert (
        f"record 0, field 'm_loc': 'empty.png' under {pictures} is no picture, or a broken one: it is an empty file"
        in text
    )


def test_a_folder_in_the_place_of_a_picture_is_named(dataset: Dataset, pictures: Path) -> None:
    (pictures / "folder").mkdir()
    text = complaint(dataset(record("entity", image="folder")))
    assert f"record 0, field 'image': 'folder' under {pictures} is no picture, or a broken one: it is a folder" in text


def test_a_pipe_in_the_place_of_a_picture_is_named(dataset: Dataset, pictures: Path) -> None:
    os.mkfifo(pictures / "pipe.png")
    text = complaint(dataset(record("entity", image="pipe.png")))
    assert f"'pipe.png' under {pictures} is no picture, or a broken one: it is a pipe or a device" in text


@pytest.mark.parametrize("value", ["below\\edit.png", "Below/edit.PNG", "BELOW\\EDIT.png"])
def test_other_slashes_or_case_in_a_picture_path_get_the_path_that_is_there(
    value: str, dataset: Dataset, pictures: Path
) -> None:
    (pictures / "below").mkdir()
    (pictures / "edit.png").rename(pictures / "below" / "edit.png")
    text = complaint(dataset(record("entity", image=value)))
    assert f"no picture {value!r} under {pictures}; did you mean 'below/edit.png'?" in text


@pytest.mark.parametrize("value", ["nul\0.png", "x" * 300 + ".png"])
def test_a_picture_path_that_no_file_can_have_is_named(value: str, dataset: Dataset) -> None:
    assert "record 0, field 'image': " in complaint(dataset(record("entity", image=value)))


def test_a_missing_picture_folder_is_one_problem(dataset: Dataset) -> None:
    benchmark = dataset(record("entity"), record("user"))
    benchmark.pictures = benchmark.pictures / "elsewhere"
    text = complaint(benchmark)
    assert "1 problem in the data" in text
    assert f"its picture folder {benchmark.pictures} does not exist" in text


@pytest.mark.parametrize(
    ("field", "kind", "left"), [("rel_ans_1", "t_rel", 1), ("m_loc_q", "i_loc", 0), ("rephrase", "rephrase", 0)]
)
def test_a_run_goes_on_without_a_probe_whose_text_is_empty(field: str, kind: str, left: int, dataset: Dataset) -> None:
    (case,) = dataset(record("entity", **{field: ""})).load("eval", hop=1, switches=STRICT).cases
    assert [probe.kind.name for probe in case.probes].count(kind) == left
    assert {kind.name: reason for kind, reason in case.unscored.items()} == {
        kind: "the question or its answer is empty"
    }


def test_an_empty_edit_is_a_problem_of_a_run_too(dataset: Dataset) -> None:
    assert "record 0, field 'src': empty; expected a text" in complaint(dataset(record("entity", src="")))


def test_all_problems_are_told_at_once(dataset: Dataset) -> None:
    text = complaint(dataset(record("entity", src=1, image="lost.png"), record("user", without=["loc"]), "text"))
    assert text.startswith("ours: 4 problems in the data\n")
    for place in ["record 0, field 'src'", "record 0, field 'image'", "record 1, field 'loc'", "record 2: "]:
        assert place in text


def test_problems_of_one_kind_are_counted_and_told_once(dataset: Dataset) -> None:
    lines = complaint(dataset(*([record("entity", rel_1=1)] * 2 + [record("user", src="")] * 130))).splitlines()
    assert lines[0] == "ours: 132 problems in the data"
    assert lines[1].endswith("records 0 and 1, field 'rel_1': expected a text, found a number")
    assert lines[2].endswith("130 records (2, 3, 4, 5, 6, …), field 'src': empty; expected a text")
    assert len(lines) == 3


def test_of_problems_that_quote_other_values_the_first_are_told_in_full(dataset: Dataset) -> None:
    lines = complaint(dataset(*(record("entity", image=f"lost-{n}.png") for n in range(40)))).splitlines()
    assert [f"record {n}, field 'image': no picture 'lost-{n}.png'" in line for n, line in enumerate(lines[1:4])]
    assert lines[4] == "… and 37 more of this kind (field 'image')"


def test_a_key_given_twice_is_named(dataset: Dataset) -> None:
    raw = json.dumps(record("entity"))
    twice = raw[:-1] + ', "alt": "the second"}'
    inside = raw.replace('"Answer": "Lima"', '"Answer": "Lima", "Answer": "Rome"')
    text = complaint(dataset(content=f"[{raw}, {twice}, {inside}]".encode()))
    assert "2 problems" in text
    assert "record 1, field 'alt': given twice; expected once" in text
    assert "record 2, field 'Answer': given twice; expected once" in text


def test_nothing_is_called_usable_beside_a_problem_that_stops_a_run(dataset: Dataset) -> None:
    stopped = check(dataset(record("entity"), record("entity", src=3)), hop=1).text()
    assert "usable: none before the problems are solved (read: entity 2)" in stopped
    goes_on = check(dataset(record("entity"), record("entity", rel_ans_1="")), hop=1).text()
    assert "usable: entity 2" in goes_on
    assert "field 'rel_ans_1': empty; expected a text (a run leaves out this question alone)" in goes_on


def test_loading_reads_headers_only_so_that_a_cut_picture_is_left_to_check(dataset: Dataset, pictures: Path) -> None:
    (pictures / "cut.png").write_bytes(_png(pictures)[:2_000])
    split = dataset(record("entity", image="cut.png")).load("eval", hop=1, switches=STRICT)
    assert len(split.cases) == 1
