"""What is left of a grid, in hours and bytes: exact sums of what was measured, and what is not known is said."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from mmke.cli import main
from mmke.grid import file as grid_file
from mmke.grid.done import Done, read_done
from mmke.grid.estimate import HERE, Unknown, estimate
from mmke.grid.expand import Cell, Place, Run, expand
from mmke.grid.measured import CheckpointBytes, Counts, Loading, Measured, Measurement, Record, Step, read
from mmke.grid.states import State, states
from mmke.results.rows import RecordKey
from mmke.training.train import TrainRequest

CARD = "NVIDIA H100 80GB HBM3"
CELL = Cell("llava-1.5-7b", "mmke-entity", 1, "paper", 0, "ft-llm")


def measured(**lines: object) -> Measured:
    one = Measurement(command="mmke bench", device=CARD, date=date(2026, 1, 1), **lines)
    return Measured(measured=(one,), published={"mmke-entity": Counts(train=10, eval=100)})


def record(seconds: float, *, kind: str = "entity", protocol: str = "paper") -> Record:
    return Record(editor="ft-llm", backbone="llava-1.5-7b", kind=kind, protocol=protocol, seconds=seconds)


def done(*seconds: float, size: int = 0, on_gpu: bool = True) -> Done:
    keys = frozenset(RecordKey(str(number), "single", 1, None) for number, _ in enumerate(seconds))
    return Done(keys, seconds, size, on_gpu)


def test_the_median_of_what_was_measured_counts_for_the_records_that_are_left() -> None:
    known = measured(
        records=(record(0.1), record(0.2), record(0.9)), loading=(Loading(backbone="llava-1.5-7b", seconds=36),)
    )
    found = estimate([State(CELL, 100, 10)], {}, known, device="cuda", workers=2)
    assert [part.amount for part in found.seconds] == [pytest.approx(18.0), 72.0]
    assert found.hours == pytest.approx(90 / 3600)
    assert found.unknown == [Unknown("bytes a record", "ft-llm")]


def test_a_newer_measurement_counts_in_the_place_of_an_older_one() -> None:
    lines = [(2026, 9.0), (2027, 1.0), (2027, 3.0)]
    made = [
        Measurement(command="mmke bench", device=CARD, date=date(year, 1, 1), records=(record(seconds),))
        for year, seconds in lines
    ]
    found = estimate([State(CELL, 10, 0)], {}, Measured(measured=tuple(made)), device="cuda")
    assert found.seconds[0].amount == 20.0


def test_the_cells_own_seconds_come_before_those_of_others_and_of_other_places() -> None:
    other = CELL._replace(benchmark="mini-entity")
    known = measured(records=(record(9.0),))
    own = {CELL: done(1.0, 3.0, size=50), other: done(5.0)}
    for there, seconds, size in ((own, 16.0, 200.0), ({other: own[other]}, 40.0, None), ({}, 72.0, None)):
        found = estimate([State(CELL, 10, 2)], there, known, device="cuda")
        assert [part.amount for part in found.seconds] == [seconds]
        assert not size or [part.amount for part in found.bytes] == [size]
    assert estimate([State(CELL, 10, 2)], own, known, device="cuda").seconds[0].source == HERE


def test_seconds_of_another_device_do_not_count() -> None:
    found = estimate([State(CELL, 10, 0)], {CELL: done(1.0, on_gpu=False)}, measured(), device="cuda")
    assert found.seconds == []
    assert Unknown("seconds a record", "ft-llm", "llava-1.5-7b") in found.unknown
    assert estimate([State(CELL, 10, 0)], {}, measured(records=(record(1.0),)), device="cpu").seconds == []


def test_a_measurement_of_another_kind_or_protocol_is_said_to_be_one() -> None:
    known = measured(records=(record(1.0, kind="visual"), record(2.0, protocol="strict")))
    assert estimate([State(CELL, 1, 0)], {}, known, device="cuda").seconds[0][3:] == (1.0, CARD, "kind")
    strict = CELL._replace(protocol="strict", benchmark="mmke-user")
    assert estimate([State(strict, 1, 0)], {}, known, device="cuda").seconds[0][3:] == (2.0, CARD, "kind")


def test_a_training_counts_new_records_and_records_seen_before_once_for_all_its_cells(tmp_path: Path) -> None:
    step = Step(editor="mend", backbone="llava-1.5-7b", kind="entity", protocol="strict", new=3.0, seen=0.5)
    size = CheckpointBytes(editor="mend", backbone="llava-1.5-7b", bytes=7)
    training = TrainRequest(
        "mend", "llava-1.5-7b", ("mmke-entity",), changes={"steps": 25}, out=tmp_path, data=tmp_path
    )
    cells = [CELL._replace(editor="mend", protocol="strict", seed=seed) for seed in (0, 1)]
    known = measured(steps=(step,), checkpoints=(size,))
    found = estimate([State(cell, 5, 0, training) for cell in cells], {}, known, device="cuda")
    # 10 records as others counted them: each is new once, and the other 15 steps are of records seen before.
    assert [(part.what, part.amount) for part in found.seconds] == [("training", 10 * 3.0 + 15 * 0.5)]
    assert [part.amount for part in found.bytes] == [7]


def test_a_stream_is_estimated_from_streams_alone() -> None:
    streamed = CELL._replace(schedule="stream-seed", order_seed=0)
    known = measured(records=(record(1.0),))
    found = estimate([State(streamed, 10, 0)], {}, known, device="cuda")
    assert found.unknown[0] == Unknown("seconds a record in stream-seed", "ft-llm", "llava-1.5-7b")
    there = {streamed._replace(order_seed=1): done(2.0)}
    assert estimate([State(streamed, 10, 0)], there, known, device="cuda").seconds[0].amount == 20.0


def test_what_comes_along_was_measured_for_every_editor_and_backbone_of_the_published_table() -> None:
    known = read()
    for backbone in ("llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b"):
        for editor in ("none", "ft-llm", "ft-alignment", "ike", "serac", "mend", "ke"):
            assert known.seconds(editor, backbone, "entity", "paper", device="cuda")
        for editor in ("serac", "mend", "ke"):
            assert known.step(editor, backbone, "entity", "paper", device="cuda")


@pytest.mark.slow
def test_a_folder_tells_how_far_its_cells_are_and_what_they_took(
    small_grid: Path, runs_of: Callable[..., list[Run]], own_pictures: Path, tmp_path: Path
) -> None:
    words = ["grid", str(small_grid), "--data", str(own_pictures), "--out", str(tmp_path / "results")]
    words += ["--checkpoints", str(tmp_path / "checkpoints"), "--only", "editor=ft-llm"]
    assert main([*words, "--only", "benchmark=mmke-user"]) == 0
    there = read_done(tmp_path / "results")
    found = {(each.cell.benchmark, each.cell.editor): each for each in states(runs_of(small_grid), there, read())}
    assert {key: (each.records, each.finished) for key, each in found.items()} == {
        ("mmke-entity", "none"): (2, 0),
        ("mmke-entity", "ft-llm"): (2, 0),
        ("mmke-entity", "mend"): (2, 0),
        ("mmke-user", "none"): (2, 2),
        ("mmke-user", "ft-llm"): (2, 2),
        ("mmke-user", "mend"): (2, 0),
    }
    assert found["mmke-user", "mend"].training is not None
    file = next((tmp_path / "results").rglob("ft-llm/timings.jsonl"))
    seconds = [sum(json.loads(line)["seconds"].values()) for line in file.read_text().splitlines()]
    cell = found["mmke-user", "ft-llm"].cell
    part = estimate([State(cell, 5, 2)], there, measured(), device="cpu").seconds[0]
    assert part.amount == pytest.approx(3 * sum(seconds) / 2, rel=1e-4)


def test_a_dry_run_needs_neither_data_nor_weights_nor_a_gpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["grid", "published", "--dry", "--device", "cuda", "--out", str(tmp_path / "out"), "--data", str(tmp_path)]
    assert main([*words, "--only", "backbone=blip2-opt-2.7b", "--only", "editor=ike", "--only", "editor=ke"]) == 1
    told = capsys.readouterr().out
    assert "6 cells and 3 floors; records:" in told
    assert "mmke-user, hop 1, paper: 511 (as others counted them: the data are not there)" in told
    assert "blip2-opt-2.7b  0 of 1759  0 of 1759  0 of 1759*" in told
    assert "*: trained first (3 trainings)" in told
    assert "card-hours at least (measured on NVIDIA H100 80GB HBM3)" in told
    assert "  seconds to load blip2-opt-2.7b" in told
    assert "6 cells (ike ke, for blip2-opt-2.7b, on mmke-entity mmke-visual mmke-user, hop 1, paper, seed 0)" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_hours_in_the_documentation_are_those_of_the_estimate(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    whole, known = grid_file.read(grid_file.find("published")), read()
    for protocol, column in (("paper", 0), ("strict", 1)):
        grid = whole.model_copy(update={"protocols": (protocol,)})
        runs = expand(grid, grid, Place(tmp_path / "out", tmp_path / "none", tmp_path, "cuda"))
        found = estimate(states(runs, {}, known), {}, known, device="cuda")
        hours = {
            what: sum(p.amount for p in found.seconds if p.what == what) / 3600 for what in ("records", "training")
        }
        for row, told in (("all edits", hours["records"]), ("27 trainings", hours["training"]), ("sum", found.hours)):
            line = next(each for each in page.splitlines() if each.startswith(f"| {row}"))
            assert line.split("|")[2 + column].strip() == f"{told:.1f}"
