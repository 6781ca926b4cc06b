"""The composition gap: one edit against the same in two parts."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.report.composition import read_compositions, render_compositions
from mmke.results.finished import CASES
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]
PARTS = ("visual", "composed", None, "textual")


@pytest.fixture
def write(row: Row, write_run: Callable[..., Path]) -> Callable[..., Path]:
    """Write a run whose cases ask three I-Rel questions and one of T-Rel; of a divided one, with their parts."""

    def make(benchmark: str, cases: Sequence[Sequence[float]], *, editor: str = "ft-llm") -> Path:
        kinds = ("i_rel", "i_rel", "i_rel", "t_rel")
        rows = [[row(kind, value, 0.0, kind=kind) for kind, value in zip(kinds, case, strict=True)] for case in cases]
        folder = write_run(rows, benchmark=benchmark, editor=editor)
        if "@" in benchmark:
            lines = [json.loads(line) for line in (folder / CASES).read_text().splitlines()]
            for line in lines:
                for probe, part in zip(line["probes"], PARTS, strict=True):
                    probe["tags"] = {"part": part} if part else {}
            (folder / CASES).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return make


def test_the_gap_is_over_the_same_cases(write: Callable[..., Path], tmp_path: Path) -> None:
    write("mini-entity", [(1.0, 1.0, 1.0, 1.0), (1.0, 0.5, 0.0, 1.0), (0.0, 0.0, 0.0, 0.0)])
    write("mini-entity@split", [(1.0, 0.0, 0.5, 0.5), (1.0, 0.5, 0.0, 1.0)])
    (found,) = read_compositions(tmp_path)
    values = {name: None if figure is None else (figure.value, figure.n) for name, figure in found.figures.items()}
    assert values == {
        "joint": (75.0, 2),
        "divided": (50.0, 2),
        "gap": (25.0, 2),
        "composed": (25.0, 2),
        "visual": (100.0, 2),
        "textual": (75.0, 2),
    }
    assert found.figures["gap"] is not None
    assert found.figures["gap"].se == pytest.approx(25.0)


def test_the_unedited_model_stands_first(write: Callable[..., Path], tmp_path: Path) -> None:
    for editor in ("ft-llm", "none", "ike"):
        write("mini-entity@split", [(1.0, 0.0, 0.5, 0.5)], editor=editor)
    assert [found.place.editor for found in read_compositions(tmp_path)] == ["none", "ft-llm", "ike"]


def test_without_the_run_of_whole_records_there_is_no_gap(write: Callable[..., Path], tmp_path: Path) -> None:
    write("mini-entity@split-text-first", [(1.0, 0.0, 0.5, 0.5)])
    (found,) = read_compositions(tmp_path)
    assert (found.figures["gap"], found.figures["joint"]) == (None, None)
    assert found.figures["divided"] == (50.0, None, 1)


def test_all_forms_show_it(write: Callable[..., Path], tmp_path: Path) -> None:
    write("mini-entity+mini-user", [(1.0, 1.0, 1.0, 1.0)])
    write("mini-entity@split+mini-user@split", [(1.0, 0.0, 0.5, 0.5)])
    found = read_compositions(tmp_path)
    text = render_compositions(found, "text")
    assert ["ft-llm", "100.0", "50.0", "50.0", "0.0", "100.0", "50.0", "1"] in [
        line.split() for line in text.splitlines()
    ]
    assert "mini-entity@split+mini-user@split" in text
    assert all("ft-llm" in render_compositions(found, form) for form in ("latex", "markdown"))
    (plain,) = json.loads(render_compositions(found, "json"))
    assert plain["gap"] == {"value": 50.0, "se": None, "n": 1}
    lines = list(csv.DictReader(io.StringIO(render_compositions(found, "csv"))))
    assert {line["figure"]: line["value"] for line in lines}["gap"] == "50.0"


def test_results_without_divided_records_are_told(write: Callable[..., Path], tmp_path: Path) -> None:
    write("mini-entity", [(1.0, 1.0, 1.0, 1.0)])
    with pytest.raises(UserError, match=r"no results of divided records below .*mini-entity@split"):
        read_compositions(tmp_path)
