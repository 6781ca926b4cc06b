"""`mmke bench`: what it measures and writes, and mistakes that cost one line before any record."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmke.cli import main
from mmke.errors import UserError
from mmke.running.request import Request
from mmke_bench import bench
from mmke_bench.bench import BenchRequest, measure, resolve_pairs
from mmke_bench.sides import SideName
from mmke_bench.steps import Trainer

TRAINED = ("mend", "serac", "ke")
ORDER = ["bench", "--backbone", "tiny-llava", "--benchmark", "mmke-user", "--records", "1"]


@pytest.fixture
def order(small_data: Path) -> BenchRequest:
    changes = {"ft-llm": {"steps": 2}}
    return BenchRequest(Request("tiny-llava", ("ft-llm",), ("mmke-user",), data=small_data, changes=changes), records=2)


def test_both_sides_are_measured_and_agree(order: BenchRequest) -> None:
    (measured,) = measure(order)
    agreement, bound = measured.agreement, measured.bound()
    assert {side: len(laps) for side, laps in measured.laps.items()} == {"plain": 2, "mmke": 2}
    assert agreement is not None
    assert bound is not None
    assert agreement.rows > 0
    assert agreement.other_ids == 0
    assert agreement.gap < 1e-4
    assert bound > 1
    assert measured.peaks("mmke")["resident"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("side", ["plain", "mmke"])
def test_one_side_may_be_measured_alone(order: BenchRequest, side: SideName) -> None:
    (measured,) = measure(replace(order, sides=(side,)))
    assert list(measured.laps) == [side]
    assert bool(measured.counts) == (side == "plain")


@pytest.mark.slow
def test_records_that_warm_up_do_not_count(order: BenchRequest) -> None:
    heard: list[str] = []
    (measured,) = measure(replace(order, warm=2, sides=("mmke",)), tell=heard.append)
    assert len(measured.laps["mmke"]) == 2
    assert len(heard) == 4


@pytest.mark.slow
def test_no_bound_is_given_for_an_editor_of_a_lower_layer(order: BenchRequest) -> None:
    lower = {"ft-llm": {"steps": 2, "sites": ["language.1.mlp_out"]}}
    (measured,) = measure(replace(order, request=replace(order.request, changes=lower)))
    assert measured.bound() is None
    assert measured.ratio("wall") is not None


def test_editors_come_in_the_order_that_was_asked_for_each_with_its_floor(order: BenchRequest) -> None:
    request = replace(
        order.request, editors=("ike-random", "none"), benchmarks=("mmke-user", "mmke-entity"), changes={}
    )
    pairs = resolve_pairs(replace(order, request=request))
    found = [(pair.cell.editor.name, pair.cell.benchmark.name) for pair in pairs]
    assert found == [(e, b) for e in ("ike-random", "none") for b in ("mmke-user", "mmke-entity")]
    assert [pair.floor is pair.cell for pair in pairs] == [False, False, True, True]
    assert all(pair.floor.benchmark is pair.cell.benchmark for pair in pairs)


def test_descriptions_get_their_words_in_every_cell(order: BenchRequest) -> None:
    ((floor, cell),) = resolve_pairs(replace(order, words=9))
    for case in (*floor.split.cases, *cell.split.cases):
        assert len(case.edits[0].target.split()) == 9


def test_settings_may_be_those_of_another_backbone(order: BenchRequest) -> None:
    request = replace(order.request, backbone="smol-llava", editors=("ft-llm", "ft-alignment"))
    own, changed = (resolve_pairs(replace(order, request=request, settings_of=of)) for of in (None, "llava-1.5-7b"))
    assert [pair.cell.settings["steps"] for pair in own] == [2, 5]
    assert [pair.cell.settings["steps"] for pair in changed] == [2, 30]  # what is set by hand stays
    assert [pair.cell.settings["learning_rate"] for pair in changed] == [1e-4, 1e-4]


@pytest.mark.slow
def test_the_command_prints_and_writes_what_was_measured(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "speed.json"
    given = [*ORDER, "--data", str(small_data), "--editor", "none", "--editor", "ft-llm", "--set", "ft-llm.steps=2"]
    assert main([*given, "--words", "6", "--settings-of", "llava-1.5-7b", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "ft-llm on mmke-user, medians over 1 records; records and ratios: wall clock" in printed
    assert "bound by operations" in printed
    written: dict[str, Any] = json.loads(out.read_text())
    assert written["command"][:2] == ["mmke", "bench"]
    assert (written["words"], written["settings_of"], written["backbone"]) == (6, "llava-1.5-7b", "tiny-llava")
    assert [each["editor"] for each in written["measured"]] == ["none", "ft-llm"]
    assert written["measured"][1]["ratio"]["wall"] > 0
    assert written["measured"][1]["agreement"]["other_ids"] == 0
    assert len(written["measured"][1]["laps"]["plain"]) == 1


@pytest.mark.slow
def test_the_command_measures_one_side(small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ORDER, "--data", str(small_data), "--editor", "none", "--side", "mmke"]) == 0
    printed = capsys.readouterr().out
    assert "\nmmke " in printed
    assert "plain" not in printed
    assert "times as fast" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_editors_that_are_trained_take_steps_with_fresh_networks_first(
    protocol: str, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "speed.json"
    given = [*ORDER, "--data", str(small_data), "--steps", "1", "--protocol", protocol, "--out", str(out)]
    smaller = ["mend.rank=4", "mend.gradient_accumulation_steps=1", "ke.lstm=8", "ke.condition=8", "ke.conditioner=8"]
    named = [*(f"--editor={name}" for name in TRAINED), *(f"--set={each}" for each in smaller)]
    assert main([*given, *named]) == 0
    printed = capsys.readouterr().out
    assert printed.count("on a record seen before") == 5  # KE's published step asks nothing that is not read
    measured = json.loads(out.read_text())["measured"]
    assert [each["editor"] for each in measured] == list(TRAINED)
    for each in measured:
        assert {side: len(steps) for side, steps in each["steps"].items()} == {"plain": 1, "mmke": 1}
        assert each["step_ratio"]["new"]["wall"] > 0
        assert 1 < each["step_bound"] <= each["step_bound_with_asides"]
        assert each["bound"] > 1
        assert each["steps"]["mmke"][0]["seen"]["peaks"]["resident"] > 0
        assert each["agreement"]["other_ids"] == 0  # whatever steps they were timed in
        assert each["agreement"]["gap"] < 1e-4


@pytest.mark.slow
def test_without_steps_a_trained_editor_only_edits(order: BenchRequest) -> None:
    (measured,) = measure(replace(order, request=replace(order.request, editors=("ke",), changes={}), steps=0))
    assert measured.steps == {}
    assert measured.step_ratio("wall", "new") is None
    assert measured.data()["step_ratio"]["new"]["wall"] is None
    assert measured.bound() is not None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--backbone", "tiny-lava"], "unknown backbone 'tiny-lava'; did you mean 'tiny-llava'?"),
        (["--editor", "ft-lm"], "unknown editor 'ft-lm'; did you mean 'ft-llm'?"),
        (["--benchmark", "mini-entty"], "unknown benchmark 'mini-entty'; did you mean 'mini-entity'?"),
        (["--settings-of", "llava-1.5"], "unknown backbone 'llava-1.5'; did you mean 'llava-1.5-7b'?"),
        (["--set", "ft-llm.stepps=3"], "unknown key 'stepps' (did you mean 'steps'?)"),
        (["--editor", "none", "--set", "ike.demonstrations=3"], "settings for 'ike', which this run does not use"),
        (["--records", "0"], "--records 0: give a number from 1 up"),
        (["--warm", "-1"], "--warm -1: give a number from 0 up"),
        (["--words", "-5"], "--words -5: give a number from 0 up"),
        (["--steps", "-1"], "--steps -1: give a number from 0 up"),
        (["--threads", "0"], "--threads 0: give a number from 1 up"),
        (["--records", "4"], "mmke-user has 4 records, and 5 are to be run (1 to warm up and 4 that count)"),
        (["--records", "4", "--words", "9"], "mmke-user has 4 records, and 5 are to be run"),
        (["--memory", "24"], "--memory 24.0: cpu is no GPU"),
        (["--device", "cuda:9"], "device 'cuda:9' is not there"),
        (["--dtype", "float23"], "'float23' is not one of 'float32'"),
        (["--out", "."], "--out . is a folder; name a file in it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_one_message_before_any_weights_are_read(
    given: list[str],
    told: str,
    small_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "load", lambda *_: pytest.fail("something was loaded"))
    assert main([*ORDER, "--data", str(small_data), *given]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_too_little_memory_in_a_timed_step_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Trainer, "run", end)
    order = BenchRequest(Request("tiny-llava", ("mend",), ("mini-entity",)), records=1, sides=("mmke",))
    with pytest.raises(UserError, match="too little memory to train mend on tiny-llava in the steps that are timed"):
        list(measure(order))
