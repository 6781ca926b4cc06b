"""`mmke bench --stream`: what it measures on both sides, and on which records."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grid import first_quick
from mmke.benchmarks.open import open_benchmark
from mmke.cli import main
from mmke.running.request import Request
from mmke.running.stream_settings import StreamSettings
from mmke.types import PROTOCOLS
from mmke_bench import streams
from mmke_bench.bench import BenchRequest
from mmke_bench.measured_stream import FIGURES
from mmke_bench.show_stream import stream_lines
from mmke_bench.streams import measure_streams
from mmke_bench.workload import repeat

ORDER = ["bench", "--stream", "--backbone", "tiny-llava", "--benchmark", "mmke-user"]


@pytest.fixture
def order(small_data: Path) -> BenchRequest:
    request = Request(
        "tiny-llava",
        ("ft-llm",),
        ("mmke-user",),
        data=small_data,
        changes={"ft-llm": {"steps": 2}},
        stream=StreamSettings(tests=6, score="right,at:2,end"),
    )
    return BenchRequest(request, plain_tests=2)


def test_both_sides_edit_and_ask_the_same_records_and_agree(order: BenchRequest) -> None:
    (measured,) = measure_streams(order)
    plain, ours = measured.sides["plain"], measured.sides["mmke"]
    assert ([step.edits_applied for step in ours.steps], plain.edits) == ([1, 2, 3, 4, 5, 6], 2)
    assert [step.cases for step in plain.steps] == [step.cases for step in ours.steps[:2]]
    # Right after its edit, and again at 2 and at the end, each record once in each state.
    assert (len(ours.floor), len(ours.records), len(plain.records)) == (6, 6 + 1 + 5, 2 + 1)
    agreement = measured.agreement
    assert agreement is not None
    assert agreement.rows > 20
    assert agreement.other_ids == 0
    assert agreement.gap < 1e-4
    assert all((measured.ratio(figure) or 0) > 0 for figure in FIGURES)
    assert (measured.whole, measured.total) == (False, None)
    assert measured.workload.startswith("4 records of mmke-user, repeated with other wording to 6")


@pytest.mark.slow
def test_a_total_is_compared_only_where_both_sides_did_the_same(order: BenchRequest) -> None:
    short = replace(order.request, stream=StreamSettings(tests=2, score="right,end"))
    (measured,) = measure_streams(replace(order, request=short))
    assert measured.whole
    assert (measured.total or 0) > 0
    assert measured.workload == "2 records of mmke-user"


@pytest.mark.slow
def test_a_stream_whose_time_is_up_tells_what_was_measured_so_far(
    order: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, passed = [0.0], streams.time.perf_counter
    monkeypatch.setattr(streams.time, "perf_counter", lambda: passed() + clock[0])

    def asleep(told: str) -> None:
        clock[0] += 1e9 if "3 edits" in told else 0.0

    monkeypatch.setattr(streams, "TOLD_EVERY", 1)
    order = replace(order, sides=("mmke",), seconds=1e6)
    (whole,), (short,) = list(measure_streams(order)), list(measure_streams(order, tell=asleep))
    assert (whole.sides["mmke"].whole, short.sides["mmke"].whole) == (True, False)
    assert 0 < len(short.sides["mmke"].records) < len(whole.sides["mmke"].records)
    assert "mmke was ended before its last record, when its time was up" in list(stream_lines(short))


def test_asking_again_computes_nothing_below_the_cut(order: BenchRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    trunk = streams.ComposedBackbone.trunk

    def counted(self: Any, batch: Any, *given: Any, **named: Any) -> Any:
        computed.append(batch.digest)
        return trunk(self, batch, *given, **named)

    monkeypatch.setattr(streams.ComposedBackbone, "trunk", counted)
    (measured,) = measure_streams(replace(order, sides=("mmke",)))
    # The edits' own batches are read once each, those of the questions by the floor alone.
    assert len(computed) == len(set(computed))
    assert measured.sides["mmke"].median("again") is not None


@pytest.mark.slow
@pytest.mark.parametrize("editor", ["ft-llm", "serac", "ike-random"])
def test_rows_are_the_same_wherever_results_are_kept(
    editor: str, order: BenchRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {editor: {"ft-llm": {"steps": 2}, "ike-random": {"demonstrations": 2}}.get(editor, {})}
    request = replace(order.request, editors=(editor,), changes=changes)
    found = []
    for in_memory, on_disk in ((1 << 29, 0), (0, 0), (0, None), (1 << 16, None)):
        monkeypatch.setattr("mmke.backbones.engine.store.ON_DEVICE", in_memory)
        (measured,) = measure_streams(replace(order, request=replace(request, on_disk=on_disk), sides=("mmke",)))
        found.append([record.rows for record in measured.sides["mmke"].records])
    assert found[1:] == found[:1] * 3


def test_repeated_records_are_others_of_the_same_length(small_data: Path) -> None:
    whole = open_benchmark("mmke-user", data=small_data)
    cases = repeat(whole, 11).load("eval", hop=1, switches=PROTOCOLS["strict"]).cases
    assert len({case.id for case in cases}) == len(cases) == 11
    assert len({(case.edits[0].query.text, case.edits[0].target) for case in cases}) == 11
    first, again = cases[0], cases[4]
    for one, other in zip(first.probes, again.probes, strict=True):
        assert one.query.image == other.query.image
        assert len(one.target.split()) == len(other.target.split())
        assert len(other.query.text.split()) == len(one.query.text.split()) + 1
    targets = {probe.target for probe in again.probes if probe.kind.role == "recall"}
    assert targets == {again.edits[0].target}


def test_the_command_prints_and_writes_what_was_measured(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stream.json"
    given = [*ORDER, "--data", str(small_data), "--editor", "ft-llm", "--set", "ft-llm.steps=1", "--tests", "12"]
    assert main([*given, "--score", "right,end", "--plain-tests", "1", "--panel", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "ft-llm on mmke-user, a stream of 12 edits" in printed
    assert "the plain loop made the first 1 edits" in printed
    assert "mmke  seconds of a step    1–10: " in printed
    assert "asking again takes 0." in printed
    written = json.loads(out.read_text())
    assert written["command"][:3] == ["mmke", "bench", "--stream"]
    (measured,) = written["measured"]
    ours = measured["sides"]["mmke"]
    assert (ours["edits"], len(ours["points"]["edit"]), ours["settings"]["panel"]) == (12, 12, 2)
    assert ours["medians"]["again"] > 0
    assert [each["from"] for each in ours["cost"]["seconds_per_apply"]["decades"]] == [1, 11]
    assert ours["peak_memory_bytes"] > 0
    assert measured["ratios"]["edit"] > 0


@pytest.mark.parametrize("editor", first_quick(["mend", "serac", "ke"]))
@pytest.mark.slow
def test_editors_that_are_trained_edit_with_fresh_networks(editor: str, order: BenchRequest) -> None:
    request = replace(
        order.request, editors=(editor,), changes={}, stream=StreamSettings(tests=2, score="right,end"), weights=None
    )
    (measured,) = measure_streams(replace(order, request=request, plain_tests=1))
    agreement = measured.agreement
    assert agreement is not None
    assert (agreement.rows > 0, agreement.other_ids) == (True, 0)
    assert measured.sides["mmke"].cost.state.decades


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--editor", "none"], "--editor none edits nothing"),
        (["--tests", "3", "--score", "at:9"], "--score at:9: the stream ends after 3 cases"),
        (["--score", "soon"], "--score 'soon': 'soon' is no moment"),
        (["--batch", "0"], "--batch 0: give a number from 1 up"),
        (["--plain-tests", "0"], "--plain-tests 0: give a number from 1 up"),
        (["--words", "-1"], "--words -1: give a number from 0 up"),
        (["--tests", "-3"], "--tests -3: give a number of cases, or 0 for all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_any_weights_are_read(
    given: list[str], told: str, small_data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke_bench.bench.load", lambda *_: pytest.fail("something was loaded"))
    assert main([*ORDER, "--data", str(small_data), *given]) == 2
    assert told in capsys.readouterr().err


def test_options_of_a_stream_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "3"]) == 2
    assert "--seconds is about a stream; add --stream" in capsys.readouterr().err
    assert main(["bench", "--tests", "3"]) == 2
    assert "--tests is about a stream; add --stream" in capsys.readouterr().err
