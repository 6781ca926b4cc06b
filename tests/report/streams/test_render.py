"""The five forms of a stream's tables."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stream_kit import FLAT, ORACLE, state

from mmke.errors import UserError
from mmke.report.streams.render import render_streams
from mmke.report.streams.summaries import StreamSummary, differences, read_streams
from mmke.results.described import Column

WriteStream = Callable[..., Path]
HEADLINE = ("t_loc", "i_loc", "t_rel", "i_rel", "i_gen", "port")
REVERSED = {case: (4 - at, {4 - at: 0.8, 3: 0.6}) for case, (at, _) in ORACLE.items()}
COLLAPSE = "perplexity 14.0 times the unedited model's"


@pytest.fixture
def streams(tmp_path: Path, write_stream: WriteStream) -> list[StreamSummary]:
    """The floor and two editors, one of which collapses, in two orders."""
    write_stream(FLAT, editor="none", kinds=HEADLINE)
    for editor in ("ft-llm", "ike"):
        states = [state(3, 140.0, collapsed=COLLAPSE)] if editor == "ft-llm" else [state(3)]
        grows = {"state_bytes": lambda at: 1000 * at} if editor == "ike" else {}
        for seed, tracks in enumerate((ORACLE, REVERSED)):
            write_stream(tracks, editor=editor, order_seed=seed, kinds=HEADLINE, states=states, **grows)
    return read_streams(tmp_path)


def sections(text: str) -> dict[str, list[str]]:
    """Return the first words of the lines below each heading of a table."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in text.splitlines()[3:]:
        if not line.startswith(" "):
            heading = line.partition(":")[0]
        elif heading:
            found.setdefault(heading, []).append(re.split(r" {2,}", line.strip())[0])
    return found


def test_text_has_one_line_an_editor_in_each_section_the_floor_first(streams: list[StreamSummary]) -> None:
    table = render_streams(streams, "text").split("\n\n")[0]
    title, header, *_ = table.splitlines()
    assert title == (
        "smol-llava on mini-entity, hop 1, protocol strict, stream of 3 cases: per cent ± standard error over cases"
    )
    assert header.split() == ["editor", "T-Loc", "I-Loc", "T-Rel", "I-Rel", "I-Gen", "Port", "n", "collapsed"]
    found = sections(table)
    assert found["right"][:3] == ["none", "ft-llm", "over orders"]
    assert found["final"][:2] == ["none", "ft-llm"]
    assert found["forgetting"] == ["ft-llm", "ike"]


def test_text_tables_fit_a_hundred_and_twenty_characters(streams: list[StreamSummary]) -> None:
    notes = ("  order", "  seconds and bytes")
    lines = [line for line in render_streams(streams, "text").splitlines() if not line.startswith(notes)]
    assert max(map(len, lines)) <= 120


def test_figures_of_the_text_are_those_of_the_summary(streams: list[StreamSummary]) -> None:
    final = streams[1].columns["port"].figures["final"]
    table = render_streams(streams, "text").split("\n\n")[0]
    line = next(line for line in table.partition("final:")[2].splitlines() if line.strip().startswith("ft-llm"))
    assert re.split(r" {2,}", line.strip())[6] == f"{final.value:.1f} ±{final.se:.1f}"
    assert f"{final.low:.1f}–{final.high:.1f}" in table


def test_the_curve_has_a_column_for_each_checkpoint(streams: list[StreamSummary]) -> None:
    curve = render_streams(streams, "text").split("\n\n")[1]
    assert curve.splitlines()[0].endswith("stream of 3 cases, by number of edits: per cent ± standard error")
    assert curve.splitlines()[1].split() == ["editor", "1", "2", "3"]
    assert sections(curve)["Port"][:3] == ["none", "ft-llm", "ike"]


def test_ages_are_shown_with_every_metric(streams: list[StreamSummary]) -> None:
    assert "by age of the edit" not in render_streams(streams, "text")
    assert "by age of the edit" in render_streams(streams, "text", every_metric=True)


def test_a_curve_by_gap_is_shown_where_there_are_gaps(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream({"a": (1, {2: 0.4}), "b": (2, {3: 0.2})}, score="gap:1")
    write_stream({"a": (None, {0: 0.1}), "b": (None, {0: 0.1})}, editor="none", score="gap:1")
    text = render_streams(read_streams(tmp_path), "text")
    first, *_ = text.split("\n\n")
    assert "by gap: per cent" in first
    assert "  none " in first
    assert "scored gap:1" in first
    assert "by number of edits: per cent" not in text
    # The unedited model is the same everywhere, and has nothing beside it here.
    assert "right: " not in text
    assert "final: " not in text


def test_scores_before_the_own_step_alone_have_no_curve(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream({"a": (1, {0: 0.4}), "b": (2, {1: 0.2})}, score="before")
    write_stream({"a": (None, {0: 0.1}), "b": (None, {0: 0.1})}, editor="none", score="before")
    text = render_streams(read_streams(tmp_path), "text")
    assert "drift: " in text
    assert "by gap" not in text


def test_columns_that_are_not_shown_are_named_where_no_other_was_measured(
    tmp_path: Path, write_stream: WriteStream
) -> None:
    write_stream(kinds=("recall",))
    assert "measured, and shown with --all: recall" in render_streams(read_streams(tmp_path), "text")
    assert "shown with" not in render_streams(read_streams(tmp_path), "text", every_metric=True)


def test_units_other_than_per_cent_are_told(streams: list[StreamSummary]) -> None:
    columns = {"port": Column("divergence", "port", "nats", higher_is_better=False)}
    scaled = [replace(each, scale=replace(each.scale, columns=columns)) for each in streams]
    assert "in nats, not per cent: Port" in render_streams(scaled, "text")


def test_the_unedited_model_alone_is_shown(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream({"a": (None, {0: 0.1})}, editor="none", score="gap:1")
    assert "right: " in render_streams(read_streams(tmp_path), "text")


def test_seconds_that_each_edit_adds_are_told_where_the_state_grows(streams: list[StreamSummary]) -> None:
    cost = render_streams(streams, "text").split("\n\n")[-1]
    added = {line.split()[0]: line.split()[-2:] for line in cost.splitlines()[4:6]}
    assert added["ike"][1] == "ms"
    assert added["ft-llm"][1] == "–"
    assert re.search(r"ike .* 1000 B from 0 B", cost)


def test_health_is_shown_at_each_state_that_was_looked_at(tmp_path: Path, write_stream: WriteStream) -> None:
    broken = state(3, collapsed="the logits are not finite", finite=False)
    write_stream(states=[state(1), state(2, 25.0, repeated=0.5), replace(broken, perplexity=None)])
    health = next(part for part in render_streams(read_streams(tmp_path), "text").split("\n\n") if "health" in part)
    assert health.splitlines()[1].split() == ["editor", "1", "2", "3"]
    assert re.search(r"perplexity of .*\n  ft-llm +1 +2\.5 +not finite\n", health)
    assert re.search(r"repeated, .*\n  ft-llm +0 +50 +0\n", health)
    plain = json.loads(render_streams(read_streams(tmp_path), "json"))[0]["states"]
    assert [each["perplexity"] for each in plain] == [10.0, 25.0, None]


def test_notes_name_settings_seeds_device_and_collapse(streams: list[StreamSummary]) -> None:
    text = render_streams(streams, "text")
    assert "order seed (seeds 0, 1); 3 cases, 1 a step; scored right, at:1,2, end" in text
    assert "made on a processor" in text
    assert f"collapsed: ft-llm after 3, 3 edits (orders 0, 1): {COLLAPSE}" in text
    assert "3 (2 of 2)" in text


def test_notes_tell_what_is_not_finished(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream(missing=lambda case, at: at == 3, panel=2, distract=0, reset=0)
    text = render_streams(read_streams(tmp_path), "text")
    assert "not finished: state 3; 2 of 3 cases right (ft-llm)" in text
    assert "panel of 2 at checkpoints" in text


def test_json_is_the_list_of_summaries_and_has_gains(streams: list[StreamSummary]) -> None:
    plain = json.loads(render_streams(streams, "json"))
    assert [each["editor"] for each in plain] == ["none", "ft-llm", "ike"]
    column = plain[1]["columns"]["port"]
    assert column["right"].keys() == {"value", "se", "low", "high", "n", "gain", "gain_se"}
    assert column["right"]["gain"] == pytest.approx(column["right"]["value"] - 10.0)
    assert column["drift"] is None
    assert column["half_life"] == {"state": None, "beyond": 3, "orders": [None, None]}
    assert [point["edits_applied"] for point in column["checkpoints"]] == [1, 2, 3]
    assert [(point["from"], point["to"]) for point in column["ages"]] == [(0, 0), (1, 3)]
    assert plain[1]["collapsed"] == [{"order_seed": seed, "edits_applied": 3, "reason": COLLAPSE} for seed in (0, 1)]
    assert plain[2]["cost"]["state_bytes"]["per_edit"] == 1000.0
    assert plain[1]["stream"]["score"] == "right,at:1,2,end"


def test_csv_has_one_line_for_each_figure_and_point(streams: list[StreamSummary]) -> None:
    lines = list(csv.DictReader(io.StringIO(render_streams(streams, "csv"))))
    mine = [line for line in lines if (line["editor"], line["column"]) == ("ft-llm", "port")]
    names = [line["figure"] for line in mine]
    assert names == [
        *("right", "final", "forgetting", "backward_transfer", "area", "area_linear", "half_life"),
        *["checkpoints"] * 3,
        "gaps",
        *["ages"] * 2,
    ]
    final = streams[1].columns["port"].figures["final"]
    assert float(mine[1]["value"]) == pytest.approx(final.value, abs=1e-6)
    assert [(line["from"], line["to"]) for line in mine if line["figure"] == "ages"] == [("0", "0"), ("1", "3")]
    assert {line["figure"] for line in lines if not line["column"]} == {
        *("seconds_per_apply", "seconds_per_scored_record", "state_bytes", "peak_memory_bytes")
    }


def test_latex_has_headings_across_and_only_ascii(streams: list[StreamSummary]) -> None:
    text = render_streams(streams, "latex")
    assert r"\multicolumn{9}{l}{\textit{right: straight after the case's own step}} \\" in text
    assert text.isascii()
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")


def test_markdown_has_headings_of_their_own(streams: list[StreamSummary]) -> None:
    lines = render_streams(streams, "markdown").splitlines()
    assert "| **final: after the last scored case** |" in lines
    assert lines[2] == "| editor | T-Loc | I-Loc | T-Rel | I-Rel | I-Gen | Port | n | collapsed |"


def test_a_difference_is_a_line_of_its_own_without_cost(streams: list[StreamSummary]) -> None:
    text = render_streams(differences(streams, "ike", "ft-llm"), "text")
    assert re.search(r"final: .*\n  ike − ft-llm +0\.0 ±0\.0", text)
    assert "cost by number of edits" not in text
    plain = json.loads(render_streams(differences(streams, "ike", "ft-llm"), "json"))
    assert (plain[0]["difference"], plain[0]["cost"]) == (["ike", "ft-llm"], None)


def test_an_unknown_form_is_an_error_naming_the_known_ones(streams: list[StreamSummary]) -> None:
    with pytest.raises(UserError, match="unknown format 'html'"):
        render_streams(streams, "html")


def test_tables_of_streams_are_made_without_torch(tmp_path: Path, write_stream: WriteStream) -> None:
    write_stream()
    program = (
        "import sys, pathlib; from mmke.report.streams.summaries import read_streams; "
        "from mmke.report.streams.render import render_streams; "
        "assert 'ft-llm' in render_streams(read_streams(pathlib.Path(sys.argv[1])), 'text'); "
        "sys.exit(bool({'torch', 'altair'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 0
