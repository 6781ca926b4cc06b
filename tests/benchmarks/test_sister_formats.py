"""VLKEB's, its one-hop and MMEdit's files: recognised by their fields, checked, asked what they ask, and run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_records import colour

from mmke.benchmarks.check import check
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.errors import UserError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.types import PAPER, STRICT, EditCase

Raw = dict[str, Any]
Write = Callable[..., AnnotationBenchmark]

E_VQA: Raw = {
    "src": "What is it?",
    "pred": "plum",
    "alt": "pear",
    "rephrase": "Name it.",
    "image": "edit.png",
    "image_rephrase": "other.png",
    "loc": "nq question: who wrote emma",
    "loc_ans": "Jane Austen",
    "m_loc": "unrelated.png",
    "m_loc_q": "Which colour?",
    "m_loc_a": "yellow",
}
E_IC: Raw = {**E_VQA, "src": "a photo of", "rephrase": "describe this picture,", "alt": "a ripe pear on a plate\n"}
HOP = {"port_type": "1-hop", "Q&A": {"Question": "Where from?", "Answer": "Peru"}}
VLKEB: Raw = {**E_VQA, "image": "m.0104lr/edit.png", "port_new": [HOP]}
ONE_HOP: Raw = {**E_VQA, "port_q": "Where from?", "port_a": "Peru", "port_edit_q": "Its home?", "port_edit_a": "Peru"}
FORMATS = {
    "MMEdit (E-VQA)": E_VQA,
    "MMEdit (E-IC)": E_IC,
    "VLKEB": VLKEB,
    "VLKEB (one hop)": ONE_HOP,
}
WITH_PORT = ("VLKEB", "VLKEB (one hop)")


@pytest.fixture
def write(tmp_path: Path, pictures: Path) -> Write:
    """Write records as one's own file beside its pictures and open it."""
    folder = pictures / "m.0104lr"
    folder.mkdir()
    (folder / "edit.png").write_bytes((pictures / "edit.png").read_bytes())

    def make(*raws: Raw, name: str = "mine.json") -> AnnotationBenchmark:
        (tmp_path / name).write_text(json.dumps(raws))
        opened = open_benchmark(str(tmp_path / name), data=pictures)
        assert isinstance(opened, AnnotationBenchmark)
        return opened

    return make


def asked(case: EditCase) -> list[tuple[object, ...]]:
    return [(p.kind.name, p.query.text, p.target, colour(p.query.image)) for p in case.probes]


@pytest.mark.parametrize(("name", "raw"), FORMATS.items())
def test_each_format_is_named_and_judged_by_its_own_fields(name: str, raw: Raw, write: Write) -> None:
    report = check(write(raw, {**raw, "alt": "apple"}), hop=1)
    assert report.passed, report.text()
    assert f"mine.json, format of {name}\n" in report.text()
    assert f"unscored: T-Rel, I-Rel, I-Gen ({name} has no such question)" in report.text()
    assert "not read" not in report.text()


@pytest.mark.parametrize(("name", "raw"), FORMATS.items())
def test_each_format_feeds_recall_rephrase_other_picture_and_both_localities(name: str, raw: Raw, write: Write) -> None:
    (case,) = write(raw).load("eval", hop=1, switches=STRICT).cases
    target = raw["alt"].strip()
    expected = [
        ("recall", raw["src"], target, (250, 0, 0)),
        ("rephrase", raw["rephrase"], target, (250, 0, 0)),
        ("image_rephrase", raw["src"], target, (0, 250, 0)),
        ("t_loc", raw["loc"], "Jane Austen", None),
        ("i_loc", "Which colour?", "yellow", (250, 250, 0)),
    ]
    port = [("port", "Where from?", "Peru", (250, 0, 0))]
    assert asked(case) == expected + port * (name in WITH_PORT)
    assert [kind.name for kind in case.unscored] == ["t_rel", "i_rel", "i_gen", *["port"] * (name not in WITH_PORT)]
    assert case.edits[0].target == target
    assert [kind.label for kind in write(raw).load("eval", hop=1, switches=STRICT).kinds if kind.headline] == [
        *("Rel", "T-Gen", "M-Gen", "T-Loc", "I-Loc", "Port")
    ]


@pytest.mark.parametrize(
    ("name", "protocol"), [("MMEdit (E-VQA)", "strict"), ("MMEdit (E-IC)", "paper"), ("VLKEB (one hop)", "strict")]
)
def test_each_format_runs_and_the_announcement_names_it(
    name: str, protocol: str, write: Write, tmp_path: Path, pictures: Path
) -> None:
    raw = FORMATS[name]
    write(raw, {**raw, "alt": "apple"})
    planned = plan(
        Request("tiny-llava", ("none",), (str(tmp_path / "mine.json"),), data=pictures, out=tmp_path, protocol=protocol)
    )
    assert f"read in the format of {name}" in planned.cells[0].text()
    (folder,) = run(planned)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    values = {row["metric"]: row["value"] for row in rows}
    assert all(values[kind] is not None for kind in ("recall", "rephrase", "image_rephrase", "t_loc", "i_loc"))
    assert values["t_rel"] is values["i_gen"] is None
    assert (values["port"] is None) == (name not in WITH_PORT)


def test_a_file_without_portability_keeps_its_records_under_paper(write: Write) -> None:
    assert len(write(E_VQA, E_VQA).load("eval", hop=1, switches=PAPER).cases) == 2


def test_a_hop_that_a_multi_hop_file_lacks_is_refused_naming_those_it_has(write: Write) -> None:
    with pytest.raises(UserError, match=r"no record has a 3-hop question; hops in this file: 1-hop \(in 1\)"):
        write(VLKEB).load("eval", hop=3, switches=STRICT)


def test_a_record_of_vlkeb_without_the_hop_stays_with_port_unscored(write: Write) -> None:
    cases = write(VLKEB, {**VLKEB, "port_new": []}).load("eval", hop=1, switches=STRICT).cases
    assert [[kind.name for kind in case.unscored][3:] for case in cases] == [[], ["port"]]


def test_pictures_of_vlkeb_lie_in_its_own_folder_beside_the_file(write: Write, tmp_path: Path, pictures: Path) -> None:
    write(VLKEB)
    pictures.rename(tmp_path / "VLKEB_images")
    assert check(open_benchmark(str(tmp_path / "mine.json"), data=None), hop=1).passed


def test_a_problem_of_all_records_is_one_line(write: Write) -> None:
    raws = [{**VLKEB, "m_loc_q": 3}] * 300
    text = check(write(*raws), hop=1).text()
    assert text.count("\n") < 10
    assert "300 records (0, 1, 2, 3, 4, …), field 'm_loc_q': expected a text, found a number" in text


def test_a_file_in_no_known_format_is_not_called_one(write: Write) -> None:
    text = check(write({"question": "Where?", "answer": "here", "image": "a.png"}), hop=1).text()
    assert "mine.json, none of the known formats (MMKE-Bench, VLKEB," in text
    assert "format of MMKE-Bench" not in text


def test_records_of_mmke_bench_without_their_kind_are_told_that_it_is_missing(write: Write) -> None:
    raw = {**E_VQA, "m_rel_1": "Where?", "m_rel_ans_1": "here"}
    assert "field 'knowledge_type': missing" in check(write(raw), hop=1).text()
