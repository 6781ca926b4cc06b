"""What is told of questions that are not asked, and which records a limit keeps."""

from collections.abc import Callable
from pathlib import Path

import pytest
from published_records import record

from mmke.benchmarks.gaps import first_records, gaps
from mmke.benchmarks.splits import AnnotationBenchmark
from mmke.errors import UserError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.types import PAPER, STRICT, Switches

Dataset = Callable[..., AnnotationBenchmark]


def test_a_kind_that_lost_one_of_its_questions_is_told_apart_from_one_that_lost_all(dataset: Dataset) -> None:
    raws = [record("entity", rel_ans_1=""), record("entity", loc=" "), record("entity", without=["port_new"])]
    cases = dataset(*raws, record("entity")).load("eval", hop=1, switches=STRICT).cases
    assert gaps(cases) == [
        "T-Rel: one question is left out in 1 record (the question or its answer is empty), the rest averaged",
        "T-Loc: unscored in 1 record (the question or its answer is empty)",
        "Port: unscored in 1 record (no port_new)",
    ]


@pytest.mark.parametrize(("switches", "ids"), [(STRICT, [1, 2, 4]), (PAPER, [1, 2])])
def test_a_limit_counts_used_records_under_strict_and_the_files_records_under_paper(
    switches: Switches, ids: list[int], dataset: Dataset
) -> None:
    skipped = record("entity", alt="")
    benchmark = dataset(skipped, record("entity"), record("entity"), skipped, record("entity"), record("entity"))
    split = benchmark.load("eval", hop=1, switches=switches)
    kept = first_records(split, 3, counting_dropped=switches.limit_counts == "all records")
    assert [case.id for case in kept.cases] == [f"entity-{n:05d}" for n in ids]
    assert first_records(split, 0, counting_dropped=True) == split


@pytest.mark.parametrize(("protocol", "used"), [("strict", 2), ("paper", 1)])
def test_a_run_under_paper_cuts_before_it_drops(dataset: Dataset, tmp_path: Path, protocol: str, used: int) -> None:
    benchmark = dataset(record("entity", alt=""), record("entity"), record("user"), record("user"))
    file = str(benchmark.files["eval"])
    planned = plan(Request("tiny-llava", ("none",), (file,), limit=2, protocol=protocol, out=tmp_path / "results"))
    assert planned.cells[0].text().splitlines()[0] == f"{used} of 3 records, 1 dropped"


def test_a_limit_under_paper_that_leaves_no_record_is_told(dataset: Dataset, tmp_path: Path) -> None:
    file = str(dataset(record("entity", alt=""), record("entity")).files["eval"])
    request = Request("tiny-llava", ("none",), (file,), limit=1, protocol="paper", out=tmp_path / "results")
    with pytest.raises(UserError, match=r"none of the first 1 is used \(alt is empty\); take a larger --limit, or 0"):
        plan(request)
