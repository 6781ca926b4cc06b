"""Streams' folders as summaries: figures over cases and orders, floors, what is missing, differences."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import stdev

import pytest
import stream_kit
from stream_kit import FLAT, HARD, ORACLE, state

from mmke.cli import main
from mmke.errors import UserError
from mmke.report.cells import read_cells
from mmke.report.streams.render import render_streams
from mmke.report.streams.summaries import StreamSummary, differences, read_streams
from mmke.results.finished import ROWS
from mmke.results.run_json import RUN
from mmke.results.steps import STEPS
from mmke.types import ScoreRow

WriteStream = Callable[..., Path]
REVERSED = {"c": (1, {1: 0.7, 2: 0.6, 3: 0.5}), "b": (2, {2: 0.8, 3: 0.7}), "a": (3, {3: 0.9})}


def the_one(out: Path, editor: str = "ft-llm") -> StreamSummary:
    (found,) = (stream for stream in read_streams(out) if stream.editor == editor)
    return found


def test_a_folder_of_the_worked_example_has_its_figures_in_per_cent(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    figures = the_one(tmp_path).columns["i_rel"].figures
    assert {name: round(figure.value, 2) for name, figure in figures.items()} == {
        "right": 90.0,
        "final": 73.33,
        "forgetting": 25.0,
        "backward_transfer": -25.0,
        "area": 76.92,
        "area_linear": 75.83,
    }
    assert figures["final"].se == pytest.approx(100 * stdev([0.5, 0.7, 1.0]) / 3**0.5)
    assert figures["final"].gain == pytest.approx(63.333, abs=1e-3)
    assert figures["forgetting"].gain is None


def test_two_questions_of_one_kind_are_averaged_before_the_cases(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream(kinds=("i_rel", "i_rel"))
    figure = the_one(tmp_path).columns["i_rel"].figures["final"]
    assert (round(figure.value, 2), figure.n) == (73.33, 3)


def test_orders_side_by_side_are_one_summary_with_their_range(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    write_stream(REVERSED, order_seed=1)
    stream = the_one(tmp_path)
    final = stream.columns["i_rel"].figures["final"]
    assert stream.order_seeds == (0, 1)
    assert (final.low, final.high, final.n) == (pytest.approx(70.0), pytest.approx(73.333, abs=1e-3), 3)
    assert final.value == pytest.approx((final.low + final.high) / 2)
    # The same three cases in two orders: the error is over the cases' means.
    assert final.se == pytest.approx(100 * stdev([0.7, 0.7, 0.75]) / 3**0.5)


def test_the_floor_is_one_run_for_all_orders_and_flat(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream(FLAT, editor="none")
    write_stream()
    write_stream(REVERSED, order_seed=1)
    first, other = read_streams(tmp_path)
    assert (first.editor, other.editor) == ("none", "ft-llm")
    column = first.columns["i_rel"]
    points = [*column.figures.values(), *column.curves["checkpoints"].values()]
    assert [round(point.value, 6) for point in points] == [10.0] * len(points)
    assert len(column.curves["checkpoints"]) == 3
    assert column.half_life is None
    assert first.missing == {}


def test_half_life_is_of_the_gain_over_the_floor(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream({"a": (1, {1: 0.9, 2: 0.5, 3: 0.5}), "b": (2, {2: 0.5, 3: 0.5}), "c": (3, {3: 0.3})})
    half_life = the_one(tmp_path).columns["i_rel"].half_life
    assert half_life is not None
    assert (half_life.state, half_life.beyond, str(half_life)) == (2, 3, "2")  # .8 of gain, then .4


def test_a_gain_that_stays_has_a_half_life_beyond_the_end(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    assert str(the_one(tmp_path).columns["i_rel"].half_life) == "> 3"


def test_locality_has_no_gain_and_its_drift_is_from_the_unedited_model(
    tmp_path: Path, write_stream: WriteStream
) -> None:
    flat = {case: (None, {0: 1.0}) for case in ORACLE}
    write_stream(flat, editor="none", kinds=("t_loc",), score="before,right,end")
    tracks = {"a": (1, {0: 1.0, 1: 1.0, 3: 0.5}), "b": (2, {1: 0.8, 2: 0.8, 3: 0.6}), "c": (3, {2: 0.6, 3: 0.6})}
    write_stream(tracks, kinds=("t_loc",), score="before,right,end")
    column = the_one(tmp_path).columns["t_loc"]
    assert column.figures["drift"].value == pytest.approx(100 * (0.0 - 0.2 - 0.4) / 3)
    assert column.figures["right"].gain is None
    assert column.half_life is None


def test_checkpoints_behind_distractors_are_states_of_the_whole_model(
    tmp_path: Path, write_stream: WriteStream
) -> None:
    tracks = {"a": (11, {11: 0.9, 12: 0.5}), "b": (12, {12: 0.7})}
    write_stream(tracks, score="at:1,end", distract=10)
    column = the_one(tmp_path).columns["i_rel"]
    assert {place: round(point.value, 1) for place, point in column.curves["checkpoints"].items()} == {11: 90, 12: 60}
    assert column.figures["final"].value == pytest.approx(60.0)


def test_each_part_of_a_stream_that_is_reset_has_its_own_end(tmp_path: Path, write_stream: WriteStream) -> None:
    tracks = {"a": (1, {2: 0.5}), "b": (2, {2: 0.8}), "c": (1, {1: 0.9})}
    folder = write_stream(tracks, score="end", reset=2)
    lines = [json.loads(line) for line in (folder / STEPS).read_text().splitlines()]
    parts = [(1, ["a"]), (2, ["b"]), (1, ["c"])]
    steps = [lines[0] | {"step": i, "edits_applied": at, "cases": ids} for i, (at, ids) in enumerate(parts)]
    (folder / STEPS).write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    stream = the_one(tmp_path)
    assert stream.columns["i_rel"].figures["final"].value == pytest.approx(100 * (0.5 + 0.8 + 0.9) / 3)
    assert stream.missing == {}


def test_gaps_alone_make_a_curve_by_gap(tmp_path: Path, write_stream: WriteStream) -> None:
    tracks = {"a": (1, {1: 0.8, 3: 0.4}), "b": (2, {2: 0.6, 4: 0.2})}
    write_stream(tracks, score="right,gap:2")
    column = the_one(tmp_path).columns["i_rel"]
    assert {gap: round(point.value, 1) for gap, point in column.curves["gaps"].items()} == {0: 70.0, 2: 30.0}
    assert column.figures.keys() == {"right"}


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (lambda case, at: at == 3, "state 3; 2 of 3 cases right"),
        (lambda case, at: case == "a" and at == 3, "2 of 3 cases in state 3"),
        (lambda case, at: case == "b" and at == 2, "2 of 3 cases right"),
    ],
)
def test_what_an_unfinished_stream_lacks_is_told(
    tmp_path: Path, write_stream: WriteStream, lost: Callable[[str, int], bool], told: str
) -> None:
    write_stream(missing=lost)
    assert the_one(tmp_path).missing == {0: told}


def test_a_stream_that_ends_early_has_no_area_and_no_half_life(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream(missing=lambda case, at: at == 3)
    column = the_one(tmp_path).columns["i_rel"]
    assert column.figures.keys() == {"right"}
    assert column.half_life is None
    assert list(column.curves["checkpoints"]) == [1, 2]


def test_the_first_collapse_and_the_first_warning_are_told_with_their_states(
    tmp_path: Path, write_stream: WriteStream
) -> None:
    bad = "perplexity is 14 times that of the unedited model"
    write_stream(states=[state(0), state(1, 15.0), state(2, 25.0, warning="doubled"), state(3, 140.0, collapsed=bad)])
    stream = the_one(tmp_path)
    assert [(each.edits_applied, each.reason) for each in stream.collapsed] == [(3, bad)]
    assert [(each.edits_applied, each.reason) for each in stream.warned] == [(2, "doubled")]


def test_what_a_memory_decided_is_a_column_beside_its_kind(tmp_path: Path, write_stream: WriteStream) -> None:
    decided = {"a": {"accepted": 1, "chosen": 1}, "b": {"accepted": 1, "chosen": 0}, "c": {"accepted": 0}}
    write_stream(notes=lambda case, at: decided[case])
    columns = the_one(tmp_path).columns
    assert columns["i_rel_accepted"].figures["final"].value == pytest.approx(200 / 3)
    assert columns["i_rel_chosen"].figures["final"].value == pytest.approx(100 / 3)
    assert columns["i_rel"].figures["final"].value == pytest.approx(73.333, abs=1e-3)
    text = render_streams(read_streams(tmp_path), "text")
    assert re.search(r"chosen: .*\n  ft-llm .* 33\.3 ±33\.3", text)


def test_aggregates_of_hard_locality_have_curves_and_a_column(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream(kinds=tuple(HARD))
    columns = the_one(tmp_path).columns
    for name in ("hard_loc", "RI", "NI", "CI"):
        assert columns[name].figures["final"].value == pytest.approx(73.333, abs=1e-3)
        assert columns[name].figures["final"].gain is None
        assert list(columns[name].curves["checkpoints"]) == [1, 2, 3]
    header = render_streams(read_streams(tmp_path), "text").splitlines()[1]
    assert header.split()[-2:] == ["hard_loc", "n"]


def test_hard_locality_of_a_stream_is_the_mean_of_the_groups_each_over_the_cases_that_have_it(
    tmp_path: Path, write_stream: WriteStream
) -> None:
    # In state 3: RI of a, b, c is .5, .7, 1; NI of b and c; CI of a and b.
    folder = write_stream(kinds=tuple(HARD))
    lines = [json.loads(line) for line in (folder / ROWS).read_text().splitlines()]
    for row in lines:
        if (row["case_id"], row["kind"]) in {("a", "ni_question"), ("c", "ci_picture")}:
            row |= {"value": None, "n_scored": 0, "reason": "nothing to compare"}
    (folder / ROWS).write_text("".join(f"{json.dumps(row)}\n" for row in lines))
    stream = the_one(tmp_path)
    columns = stream.columns
    figures = columns["hard_loc"].figures
    assert figures["final"].value == pytest.approx(100 * (2.2 / 3 + 1.7 / 2 + 1.2 / 2) / 3)
    # By case, a third of (score - the group's mean) / the group's cases, of all groups.
    a = ((0.5 - 2.2 / 3) / 3 + (0.5 - 0.6) / 2) / 3
    b = ((0.7 - 2.2 / 3) / 3 + (0.7 - 0.85) / 2 + (0.7 - 0.6) / 2) / 3
    c = ((1.0 - 2.2 / 3) / 3 + (1.0 - 0.85) / 2) / 3
    assert figures["final"].se == pytest.approx(100 * (3 / 2 * (a**2 + b**2 + c**2)) ** 0.5)
    assert figures["final"].n == 3
    for name, figure in figures.items():
        if not name.startswith("area"):
            groups = [columns[group].figures[name].value for group in ("RI", "NI", "CI")]
            assert figure.value == pytest.approx(sum(groups) / 3)
    # No case with NI is in the model in state 1.
    assert list(columns["hard_loc"].curves["checkpoints"]) == [2, 3]
    text = render_streams([stream], "text")
    assert "  hard_loc: RI 3, NI 2, CI 2 of 3 cases (ft-llm)" in text.splitlines()
    assert "unscored rows" not in text


def test_a_difference_is_paired_by_case_and_state(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    lower = {case: (at, {state: score - 0.2 for state, score in by.items()}) for case, (at, by) in ORACLE.items()}
    write_stream(lower, editor="mend")
    (apart,) = differences(read_streams(tmp_path), "ft-llm", "mend")
    column = apart.columns["i_rel"]
    for name in ("right", "final", "area"):
        assert column.figures[name].value == pytest.approx(20.0)
    assert column.figures["final"].se == pytest.approx(0.0, abs=1e-9)
    assert column.figures["forgetting"].value == pytest.approx(0.0)
    assert apart.editor == "ft-llm − mend"


def test_a_difference_leaves_out_what_one_of_the_two_lacks(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    write_stream(editor="mend", missing=lambda case, at: case == "c")
    (apart,) = differences(read_streams(tmp_path), "ft-llm", "mend")
    final = apart.columns["i_rel"].figures["final"]
    assert (final.value, final.n) == (pytest.approx(0.0), 2)


def test_a_difference_from_the_floor_is_the_gain_in_every_order(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream(FLAT, editor="none")
    write_stream()
    write_stream(REVERSED, order_seed=1)
    streams = read_streams(tmp_path)
    (apart,) = differences(streams, "ft-llm", "none")
    own = streams[1].columns["i_rel"]
    for name in ("right", "final", "area"):
        assert apart.columns["i_rel"].figures[name].value == pytest.approx(own.figures[name].gain)
        assert apart.columns["i_rel"].figures[name].se == pytest.approx(own.figures[name].gain_se)
    assert apart.order_seeds == (0, 1)


def test_an_editor_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    write_stream(REVERSED, editor="mend", order_seed=1)
    with pytest.raises(UserError, match=r"both 'ft-lm' and 'ft-llm' in one order; did you mean 'ft-llm'\?"):
        differences(read_streams(tmp_path), "ft-lm", "ft-llm")
    with pytest.raises(UserError, match=r"no stream has both 'mend' and 'ft-llm' in one order; these streams have"):
        differences(read_streams(tmp_path), "mend", "ft-llm")


def test_a_tag_breaks_every_figure_down(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    (stream,) = read_streams(tmp_path, by="style")
    assert stream.columns["i_rel[i_rel]"].figures["final"] == stream.columns["i_rel"].figures["final"]
    with pytest.raises(UserError, match="no probe has the tag 'type'; these results have style"):
        read_streams(tmp_path, by="type")


def test_tables_of_single_edits_pass_over_streams(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    with pytest.raises(UserError, match=r"only streams below .*: mmke table .* --stream"):
        read_cells(tmp_path)


@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        (RUN, lambda text: text.replace('"batch"', '"batsch"'), "run.json: the settings of the stream lack 'batch'"),
        (RUN, lambda text: text[:-9], "run.json is broken"),
        (STEPS, lambda text: text.replace('"step":1', '"step":5'), "steps.jsonl, line 2: step 5 stands where step 1"),
        (ROWS, lambda text: text.replace("i_rel", "", 1), None),
        (ROWS, lambda text: text[5:], "rows.jsonl, line 1: not JSON"),
    ],
)
def test_a_broken_file_is_one_clear_line(
    tmp_path: Path, write_stream: WriteStream, file: str, damage: Callable[[str], str], told: str | None
) -> None:
    path = write_stream() / file
    path.write_text(damage(path.read_text()))
    if told is None:
        assert read_streams(tmp_path)
        return
    with pytest.raises(UserError, match=told) as error:
        read_streams(tmp_path)
    assert "\n" not in str(error.value)


def test_two_copies_of_one_stream_are_an_error_naming_both(tmp_path: Path) -> None:
    for out in ("a", "b"):
        stream_kit.write_stream(tmp_path / out)
    with pytest.raises(UserError, match=r"a/smol-llava.* and .*b/smol-llava.* are streams of the same cell"):
        read_streams(tmp_path)


def test_a_folder_without_streams_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no streams below .*mmke stream --out"):
        read_streams(tmp_path)


def test_a_table_of_single_edits_says_that_there_are_streams(
    tmp_path: Path,
    write_stream: WriteStream,
    write_run: Callable[..., Path],
    row: Callable[..., ScoreRow],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_stream()
    write_run([[row("t_rel", 0.5)]])
    assert main(["table", str(tmp_path)]) == 0
    assert "stream of" not in capsys.readouterr().out
    assert caplog.messages == [f"passed over 1 stream: mmke table {tmp_path} --stream"]
