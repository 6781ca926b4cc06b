"""What the command line says of workers, and how a run ends that left something out."""

from pathlib import Path
from typing import Any, Self

import pytest
from in_turns import InTurns

from mmke.cli import main, parse, run
from mmke.cli.workers import worker_settings
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.running import by_workers, loading
from mmke.running.planning import Plan, plan
from mmke.running.request import Request
from mmke.running.shards.outcome import Outcome
from mmke.running.stream_settings import StreamSettings
from mmke.workers.problems import Problem
from mmke.workers.settings import HERE, WorkerSettings

RUN = ["run", "--backbone", "tiny-llava", "--editor", "ft-llm", "--set", "ft-llm.steps=1", "--benchmark", "mmke-entity"]


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ([], None),
        (["--ray"], HERE),
        (["--ray", "--limit", "3"], HERE),
        (["--ray", "auto", "--limit", "3"], "auto"),
        (["--ray=ray://head:10001"], "ray://head:10001"),
    ],
)
def test_the_address_of_a_cluster_can_be_left_out(words: list[str], address: str | None) -> None:
    assert parse(["run", *words])["ray"] == address


@pytest.mark.parametrize(
    ("device", "given", "count"),
    [
        ("cpu", {}, None),
        ("cuda", {}, 1),
        ("cuda", {"cards": 0.5}, None),
        ("cuda", {"ray": HERE}, None),
        ("cuda", {"count": 4}, 4),
    ],
)
def test_a_gpu_is_used_by_one_process_unless_more_is_said(
    device: str, given: dict[str, Any], count: int | None
) -> None:
    request = Request("tiny-llava", None, (), device=device, out=Path("there"))
    settings = worker_settings(request, **{"count": None, "ray": None, "cards": None, "threads": None, **given})
    assert (settings.count, settings.device, settings.folder) == (count, device, Path("there"))


def test_cards_for_a_worker_without_cards_are_refused() -> None:
    request = Request("tiny-llava", None, ())
    with pytest.raises(UserError, match=r"--cards-per-worker 2 is for GPUs, and --device is cpu"):
        worker_settings(request, None, ray=None, cards=2.0, threads=None)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("abc", "(env var: 'MMKE_WORKERS'): Input should be a valid integer, not 'abc'"),
        ("0", "--workers 0: give a number from 1 up"),
        ("-3", "--workers -3"),
    ],
)
def test_a_wrong_number_of_workers_costs_one_line(
    value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MMKE_WORKERS", value)
    assert main(RUN) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_jobs_are_blocks_of_records_and_streams(small_data: Path) -> None:
    request = Request("tiny-llava", ("ft-llm", "ike-random"), ("mmke-entity", "mmke-user"), data=small_data)
    assert by_workers.jobs_of(plan(request)) == 4 + 4
    streams = Request(
        "tiny-llava", ("ft-llm", "ike-random"), ("mmke-entity",), data=small_data, stream=StreamSettings(tests=3),
        order_seeds=(0, 1),
    )  # fmt: skip
    assert by_workers.jobs_of(plan(streams)) == 4 + 4


def test_the_command_looks_at_the_skeleton_once(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[bool] = []

    def load_backbone(*names: Any, skeleton: bool, **values: Any) -> Backbone:
        loaded.append(skeleton)
        return LOAD(*names, skeleton=skeleton, **values)

    monkeypatch.setattr(loading, "load_backbone", load_backbone)
    monkeypatch.setattr("mmke.workers.opening.open_pool", lambda *_, **__: NotEntered())
    request = Request("tiny-llava", ("none",), ("mmke-entity",), limit=2, data=small_data, out=tmp_path)
    with pytest.raises(InterruptedError):
        by_workers.run_by(plan(request), WorkerSettings(count=2, folder=tmp_path))
    assert loaded == [True]


class NotEntered(InTurns):
    """A pool whose workers do not start."""

    def __init__(self) -> None:
        super().__init__(2)

    def __enter__(self) -> Self:
        raise InterruptedError


LOAD = loading.load_backbone


def test_what_was_left_out_is_named_below_the_table(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_by(planned: Plan, *given: Any, **options: Any) -> Outcome:
        return Outcome([], [Problem("record 3 (ft-llm)", "it was killed")])

    monkeypatch.setattr(by_workers, "run_by", run_by)
    monkeypatch.setattr(run, "_show", lambda planned, folders: print("the table"))  # noqa: T201
    assert main([*RUN, "--limit", "1", "--data", str(small_data), "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out.endswith("the table\n")
    assert told.err.endswith("mmke: left out: record 3 (ft-llm): it was killed\n")
