"""What stands beneath a table, so that no figure says more than it knows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmke.benchmarks.probes.hard import KINDS
from mmke.report.cells import read_cells
from mmke.report.table import render
from mmke.results.rows import EMPTY, UNENDED
from mmke.results.run_json import RUN
from mmke.types import ScoreRow

Row = Callable[..., ScoreRow]
WriteRun = Callable[..., Path]


def notes(out: Path) -> list[str]:
    return [line.strip() for line in render(read_cells(out), "text").splitlines() if line.startswith("  ")]


def names(out: Path) -> list[str]:
    return [line.partition("  ")[0] for line in render(read_cells(out), "text").splitlines()[3:] if line[0] != " "]


def change_run(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    run = json.loads((folder / RUN).read_text())
    change(run)
    (folder / RUN).write_text(json.dumps(run))


def test_a_table_of_equal_and_whole_runs_has_no_note(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    for editor in ("none", "ft-llm"):
        write_run([[row("t_rel", 0.5)]], editor=editor)
    assert notes(tmp_path) == []


def test_a_column_without_any_score_says_why(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", None, reason="the model's logits are not numbers")] for _ in range(2)])
    assert notes(tmp_path) == ["unscored records: T-Rel 2 of 2 (ft-llm): the model's logits are not numbers"]


def test_the_most_frequent_reasons_are_given(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    reasons = ["e", "d", "c", "b", "a", "a", "b"]
    write_run([[row("t_rel", None, reason=reason)] for reason in reasons])
    assert notes(tmp_path) == ["unscored records: T-Rel 7 of 7 (ft-llm): b; a; e; and 2 other reasons"]


def test_reasons_that_have_no_room_are_counted(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", None, reason=letter * 60)] for letter in "aab"])
    assert notes(tmp_path) == [f"unscored records: T-Rel 3 of 3 (ft-llm): {'a' * 60}; and 1 other reason"]


def test_many_columns_without_a_score_are_counted(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    columns = ("t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port")
    write_run([[row(column, None, kind=column) for column in columns]])
    named = ", ".join(f"{label} 1 of 1" for label in ("T-Loc", "I-Loc", "T-Rel", "I-Rel", "I-Gen"))
    assert notes(tmp_path) == [f"unscored records: {named}, 1 other column (ft-llm): because"]


def test_what_is_said_of_all_of_many_lines_is_said_without_names(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    for editor in ("ft-llm", "ike", "mend", "serac"):
        write_run([[row("t_rel", None)]], editor=editor)
    assert notes(tmp_path) == ["unscored records: T-Rel 1 of 1 (all lines): because"]


def test_hard_locality_says_how_many_records_each_group_has(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    kinds = ("ri_picture", "ni_partner", "ci_picture")
    write_run([[row(kind, value, kind=kind) for kind in kinds] for value in (1.0, 0.5)], editor="none", kinds=KINDS)
    records = [
        [row(kind, 1.0 if kind != "ni_partner" else value, kind=kind) for kind in kinds] for value in (1.0, None)
    ]
    write_run(records, kinds=KINDS)
    assert notes(tmp_path) == ["hard_loc: RI 2, NI 1, CI 2 of 2 records (ft-llm)"]


def test_a_question_without_a_score_beside_one_with_it_is_told(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5), row("t_rel", None, probe=None)], [row("t_rel", 1.0)]])
    assert notes(tmp_path) == ["records averaged without a question that has no score: T-Rel 1 of 2 (ft-llm): because"]


def test_lines_of_different_records_are_told(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5)]] * 5, editor="none")
    write_run([[row("t_rel", 0.5)]], editor="ft-llm")
    (note,) = notes(tmp_path)
    assert note.startswith("the lines are not of the same records: n = 5 (none), 1 (ft-llm); compare gains")


def test_empty_and_unended_answers_are_told(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel_em", 0.0, notes={EMPTY: empty, UNENDED: 0})] for empty in (1, 0, 1, 0)])
    assert notes(tmp_path) == [
        "answers that the model wrote: 2 of 4 empty, 0 of 4 cut off at their longest length (ft-llm)"
    ]


def test_the_two_averages_of_ke_are_named(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5)]], editor="none")
    write_run([[row("t_rel", 0.5)]], editor="ke", average="micro")
    assert names(tmp_path) == ["none", "ke (micro)", "ke (macro)"]
    (note,) = notes(tmp_path)
    assert note.startswith("ke (micro): what is right over what is counted (tokens, ranks) in all records together")


def test_seeds_are_named_where_there_are_several(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5)]], seed=2)
    assert "protocol strict, seed 2: per cent" in render(read_cells(tmp_path), "text")
    write_run([[row("t_rel", 0.5)]], seed=0)
    assert names(tmp_path) == ["ft-llm (seed 0)", "ft-llm (seed 2)"]


def test_lines_of_different_devices_are_told(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    write_run([[row("t_rel", 0.5)]], editor="none", device="a GPU")
    write_run([[row("t_rel", 0.5)]], device="a processor")
    assert notes(tmp_path) == ["made on different devices: a GPU (none); a processor (ft-llm)"]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"threads": 2}, "threads 1 and 2"),
        ({"versions": {"torch": "1.0"}}, "torch 2.0 and 1.0"),
        ({"commit": {"sha": "b" * 40, "dirty": False}}, "commit aaaaaaaaaa and bbbbbbbbbb"),
    ],
)
def test_starts_of_one_run_that_differ_are_told(
    tmp_path: Path, row: Row, write_run: WriteRun, start: dict[str, Any], told: str
) -> None:
    first = {"threads": 1, "versions": {"torch": "2.0"}, "commit": {"sha": "a" * 40, "dirty": False}}
    change_run(write_run([[row("t_rel", 0.5)]]), lambda run: run.update(history=[first, first | start]))
    assert notes(tmp_path) == [f"made in several starts that differ: {told} (ft-llm)"]


def test_changes_that_were_not_committed_are_told(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    folder = write_run([[row("t_rel", 0.5)]])
    change_run(folder, lambda run: run["history"][0].update(commit={"sha": "a" * 40, "dirty": True}))
    assert notes(tmp_path) == ["made from a checkout with changes that were not committed (ft-llm)"]


def test_a_checkpoint_that_was_trained_on_these_records_is_marked(
    tmp_path: Path, row: Row, write_run: WriteRun
) -> None:
    folder = write_run([[row("t_rel", 0.5)]], editor="mend")
    change_run(folder, lambda run: run["records"].update(trained_on=1, chosen_by=0))
    assert names(tmp_path) == ["mend †"]
    assert notes(tmp_path) == ["†: its checkpoint was trained on 1 of these records (mend)"]
    assert r"\ensuremath{\dagger}" in render(read_cells(tmp_path), "latex")


def test_the_first_format_says_of_two_devices_too(tmp_path: Path, row: Row, write_run: WriteRun) -> None:
    folder = write_run([[row("t_rel", 0.5)]])
    start = {"versions": {}, "commit": None}
    change_run(folder, lambda run: run.update(history=[start | {"device": "a"}, start | {"device": "b"}]))
    assert notes(tmp_path) == ["made on different devices: a and b (ft-llm)"]


def test_a_kind_and_a_metric_of_another_package_are_shown_as_run_json_says(
    tmp_path: Path, row: Row, write_run: WriteRun
) -> None:
    folder = write_run([[row("near", 0.5, kind="near"), row("near_ms", 3.25, kind="near")]])
    near = {"label": "Near miss", "role": "hard locality", "headline": True}
    column = {"metric": "milliseconds", "kind": "near", "unit": "ms", "higher_is_better": False}
    change_run(folder, lambda run: (run["kinds"].update(near=near), run["columns"].update(near_ms=column)))
    text = render(read_cells(tmp_path), "text", every_metric=True)
    assert "Near miss" in text.splitlines()[1]
    assert "3.250" in text.splitlines()[3]
    assert "in ms, not per cent: near_ms" in text


def test_in_what_an_editor_differs_from_the_published_code_is_told(
    tmp_path: Path, row: Row, write_run: WriteRun
) -> None:
    folder = write_run([[row("t_rel", 1.0)]], editor="mend", protocol="paper")
    change_run(folder, lambda run: run["history"][-1].update(deviations=["rounds up"]))
    assert notes(tmp_path) == ["other than the published code (mend): rounds up"]
