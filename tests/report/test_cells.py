"""A results folder as cells, recomputed here from the files by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from mmke.errors import UserError
from mmke.report.cells import read_cells
from mmke.results.finished import ROWS
from mmke.results.rows import EMPTY, UNENDED
from mmke.results.timings import TIMINGS
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]
WriteRun = Callable[..., Path]


def test_a_cell_equals_what_its_files_say(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    draw = np.random.default_rng(1).random
    folder = write_run([[row("t_rel", float(draw()), float(draw())) for _ in range(2)] for _ in range(5)])
    lines = [json.loads(line) for line in (folder / ROWS).read_text().splitlines()]
    per_record = [[line for line in lines if line["case_id"] == str(case)] for case in range(5)]
    values = [mean(line["value"] for line in record) for record in per_record]
    gains = [mean(line["value"] - line["floor"] for line in record) for record in per_record]
    (cell,) = read_cells(tmp_path)
    figure = cell.metrics["t_rel"]
    assert figure.value == pytest.approx(100 * mean(values))
    assert figure.se == pytest.approx(100 * stdev(values) / 5**0.5)
    assert figure.gain == pytest.approx(100 * mean(gains))
    assert figure.gain_se == pytest.approx(100 * stdev(gains) / 5**0.5)


def test_a_cell_has_exactly_the_keys_that_programs_rely_on(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5)], [row("t_rel", 1.0)]], seconds=0.5)
    plain = read_cells(tmp_path)[0].as_dict()
    metrics = plain.pop("metrics")
    assert plain == {
        "backbone": "smol-llava",
        "editor": "ft-llm",
        "benchmark": "mini-entity",
        "hop": 1,
        "protocol": "strict",
        "seed": 0,
        "average": "macro",
        "n": 2,
        "dropped": 1,
        "seconds_per_edit": 0.75,
        "peak_memory_bytes": 2**31,
    }
    assert metrics["t_rel"].keys() == {"value", "se", "gain", "gain_se", "n", "n_unscored", "n_partial"}


def test_cells_come_by_block_with_the_floor_first(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    for benchmark in ("mini-visual", "mini-entity"):
        for editor in ("ike", "ft-llm", "none"):
            write_run([[row("t_rel", 0.5)]], benchmark=benchmark, editor=editor)
    assert [(cell.benchmark, cell.editor) for cell in read_cells(tmp_path)] == [
        (benchmark, editor) for benchmark in ("mini-entity", "mini-visual") for editor in ("none", "ft-llm", "ike")
    ]


def test_any_folder_inside_a_results_folder_can_be_read(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5)]], backbone="other")
    folder = write_run([[row("t_rel", 0.5)]])
    assert [cell.backbone for cell in read_cells(tmp_path)] == ["other", "smol-llava"]
    assert [cell.backbone for cell in read_cells(tmp_path / "smol-llava")] == ["smol-llava"]
    assert [cell.backbone for cell in read_cells(tmp_path, only=[folder])] == ["smol-llava"]


def test_a_run_at_work_shows_its_finished_records(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    folder = write_run([[row("t_rel", 0.5)], [row("t_rel", 1.0)]])
    (folder / ROWS).write_bytes((folder / ROWS).read_bytes()[:-3])
    (cell,) = read_cells(tmp_path)
    assert (cell.n, cell.seconds_per_edit, cell.metrics["t_rel"].value) == (1, 0.5, 50.0)


def test_a_run_without_a_finished_record_is_a_cell_of_nulls(tmp_path: Path, write_run: WriteRun) -> None:
    write_run([])
    (cell,) = read_cells(tmp_path)
    assert (cell.n, cell.seconds_per_edit, cell.peak_memory_bytes, dict(cell.metrics)) == (0, None, None, {})


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_runs_is_an_error_with_the_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"no results below .*mmke run --out"):
        read_cells(tmp_path / name)


def test_two_runs_of_one_cell_are_an_error_naming_both(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    for out in ("a", "b"):
        write_run([[row("t_rel", 0.5)]], out=tmp_path / out)
    with pytest.raises(UserError, match=r"a/smol-llava.* and .*b/smol-llava.*name the folder of one"):
        read_cells(tmp_path)


def test_a_tag_that_no_probe_has_is_an_error_naming_those_there_are(
    tmp_path: Path, row: Row, write_run: WriteRun
) -> None:
    write_run([[row("t_rel", 0.5)]], tags={"knowledge": "entity"})
    assert "t_rel[entity]" in read_cells(tmp_path, by="knowledge")[0].metrics
    with pytest.raises(UserError, match="no probe has the tag 'style'; these results have knowledge"):
        read_cells(tmp_path, by="style")


def test_seeds_of_one_cell_stand_side_by_side(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    for seed in (0, 3):
        write_run([[row("t_rel", 0.5 + seed / 10)]], seed=seed)
    assert [(cell.seed, cell.metrics["t_rel"].value) for cell in read_cells(tmp_path)] == [(0, 50.0), (3, 80.0)]


def test_a_copy_without_timings_is_a_cell_of_unknown_cost(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    (write_run([[row("t_rel", 0.5)]]) / TIMINGS).unlink()
    (cell,) = read_cells(tmp_path)
    assert (cell.n, cell.seconds_per_edit, cell.peak_memory_bytes) == (1, None, None)
    assert cell.metrics["t_rel"].value == 50.0


def test_a_published_micro_average_stands_before_the_macro_one(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    records = [[row("t_rel", 0.5, n_scored=2)], [row("t_rel", 1.0, n_scored=8)]]
    write_run(records, editor="ke", average="micro")
    cells = read_cells(tmp_path)
    assert [(cell.average, cell.as_published, cell.metrics["t_rel"].value) for cell in cells] == [
        ("micro", True, pytest.approx(90.0)),
        ("macro", False, 75.0),
    ]


def test_answers_that_the_model_wrote_are_counted_once_for_all_metrics(
    tmp_path: Path, row: Row, write_run: WriteRun
) -> None:
    written = [{EMPTY: 1, UNENDED: 0}, {EMPTY: 0, UNENDED: 1}, {EMPTY: 0, UNENDED: 1}]
    write_run([[row("t_rel", 0.5), row("t_rel_em", 0.0, notes=notes)] for notes in written])
    assert read_cells(tmp_path)[0].generated == (3, 1, 2)
