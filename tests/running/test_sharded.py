"""A run by several workers writes the bytes of a run by one process, whatever happens to the workers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from in_turns import InTurns, Meddle

from mmke.errors import BrokenPluginError, TooLittleMemoryError, UserError
from mmke.running.execution import ChangedBackboneError
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.shards import sharded
from mmke.running.shards.records import Records
from mmke.running.shards.sharded import run_sharded
from mmke.running.stream_settings import StreamSettings
from mmke.workers.dispatch import NotThisWorkerError
from mmke.workers.protocols import Job, Lost

QUICK = {"ft-llm": {"steps": 2}, "ft-alignment": {"steps": 2}, "ike-random": {"demonstrations": 2}}
STREAM = StreamSettings(tests=3, score="right,end")
SAME = ("rows.jsonl", "answers.jsonl", "cases.jsonl", "states.jsonl")
SECOND = "entity-00001"
"""The second record."""


def request(data: Path, out: Path, **more: Any) -> Request:
    return Request("tiny-llava", tuple(QUICK), ("mmke-entity",), changes=QUICK, data=data, out=out, **more)


@pytest.fixture
def asked(small_data: Path, tmp_path: Path) -> Request:
    return request(small_data, tmp_path / "sharded")


@pytest.fixture(scope="module")
def by_one(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """Return the files of one process's run: under a protocol, or of two streams; made once."""

    @cache
    def make(what: str) -> dict[str, bytes]:
        out = tmp_path_factory.mktemp(what)
        more: dict[str, Any] = {"stream": STREAM, "order_seeds": (0, 1)} if what == "stream" else {"protocol": what}
        run(plan(request(small_data, out, **more)))
        return files(out)

    return make


def files(out: Path, names: Sequence[str] = SAME) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for name in names for file in sorted(out.rglob(name))}


def lost_once(when: Callable[[Job, int], bool], *, restarts: bool = True) -> Meddle:
    """Lose the worker the first time that something holds of a job and the number of results that it has sent."""
    happened: list[Job] = []

    def meddle(job: Job, sent: int, worker: int) -> Lost | None:
        if happened or not when(job, sent):
            return None
        happened.append(job)
        return Lost(worker, "killed by signal 9", "the last line", restarts)

    return meddle


def edits_the_second(job: Job, sent: int) -> bool:
    """Tell whether a worker is at work behind the floor of a block with the second record."""
    if not isinstance(job, Records) or SECOND not in job.cases:
        return False
    return sent > sum(len(part.left) for part in job.parts if part.cell == 0)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_the_bytes_are_those_of_one_process(asked: Request, by_one: Any, protocol: str) -> None:
    counted: list[None] = []
    outcome = run_sharded([plan(replace(asked, protocol=protocol))], InTurns(2), on_record=lambda: counted.append(None))
    assert files(asked.out) == by_one(protocol)
    assert outcome.problems == []
    assert len(counted) == 16


def test_a_small_run_has_the_bytes_of_one_process_though_a_worker_is_lost(small_data: Path, tmp_path: Path) -> None:
    small = Request(
        "tiny-llava", ("ft-llm",), ("mmke-entity",), limit=2, changes={"ft-llm": {"steps": 1}}, data=small_data,
        out=tmp_path / "sharded",
    )  # fmt: skip
    alone = replace(small, out=tmp_path / "by-one")
    run(plan(alone))
    pool = InTurns(2, lost_once(lambda _, now: now == 1))
    run_sharded([plan(small)], pool)
    assert files(small.out) == files(alone.out)
    assert len(pool.results) == len(set(pool.results)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("sent", [2, 1, 3, 4])
def test_a_lost_worker_costs_nothing_that_was_finished(
    asked: Request, by_one: Any, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.running.shards.blocks.PARTS", 1)  # blocks of all four records
    pool = InTurns(2, lost_once(lambda _, now: now == sent))
    run_sharded([plan(asked)], pool)
    assert files(asked.out) == by_one("strict")
    assert len(pool.jobs) > 1
    assert len(pool.results) == len(set(pool.results)) == 16


@pytest.mark.slow
def test_streams_have_the_bytes_of_one_process(asked: Request, by_one: Any) -> None:
    request = replace(asked, stream=STREAM, order_seeds=(0, 1))
    counted: list[None] = []
    pool = InTurns(3, lost_once(lambda job, sent: not isinstance(job, Records) and sent == 2))
    run_sharded([plan(request)], pool, on_record=lambda: counted.append(None))
    assert files(request.out) == by_one("stream")
    assert len(counted) == plan(request).records


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 3])
def test_a_run_that_was_begun_by_one_process_goes_on(asked: Request, by_one: Any, limit: int) -> None:
    run(plan(replace(asked, limit=limit)))
    run_sharded([plan(asked)], InTurns(2))
    assert files(asked.out) == by_one("strict")


@pytest.mark.slow
@pytest.mark.parametrize("again", ["by workers", "by one process"])
def test_what_loses_three_workers_is_left_out_and_named(asked: Request, by_one: Any, again: str) -> None:
    def meddle(job: Job, sent: int, worker: int) -> Lost | None:
        return Lost(worker, "killed by signal 9", "no room", restarts=True) if edits_the_second(job, sent) else None

    outcome = run_sharded([plan(asked)], InTurns(2, meddle))
    assert [SECOND in what for what, _ in outcome.problems] == [True] * 3
    assert {editor for editor in QUICK for what, _ in outcome.problems if editor in what} == set(QUICK)
    assert all("3 workers were lost" in why and "no room" in why for _, why in outcome.problems)
    whole = by_one("strict")
    for name, content in files(asked.out).items():
        lines = [line for line in whole[name].splitlines() if f'"{SECOND}"'.encode() not in line]
        assert content.splitlines() == (whole[name].splitlines() if "/none/" in name else lines)
    if again == "by workers":
        run_sharded([plan(asked)], InTurns(1))
    else:
        run(plan(asked))
    assert files(asked.out) == whole
    assert plan(asked).records == sum(len(each.splitlines()) for each in files(asked.out, ["timings.jsonl"]).values())


@pytest.mark.slow
def test_too_little_memory_for_one_record_leaves_out_that_record(asked: Request) -> None:
    def meddle(job: Job, sent: int, _: int) -> Exception | None:
        no_room = edits_the_second(job, sent)
        return TooLittleMemoryError("cuda:0 has too little memory for record 2") if no_room else None

    outcome = run_sharded([plan(asked)], InTurns(2, meddle))
    assert [(SECOND in what, why) for what, why in outcome.problems] == [
        (True, "cuda:0 has too little memory for record 2")
    ] * 3


@pytest.mark.slow
def test_a_record_on_which_an_editor_of_another_package_fails_is_left_out(asked: Request) -> None:
    def meddle(job: Job, sent: int, _: int) -> Exception | None:
        return BrokenPluginError("editor 'mine' failed: a bug") if edits_the_second(job, sent) else None

    outcome = run_sharded([plan(asked)], InTurns(2, meddle))
    assert [(SECOND in what, why) for what, why in outcome.problems] == [(True, "editor 'mine' failed: a bug")] * 3


@pytest.mark.slow
def test_a_mistake_that_all_records_share_ends_the_run(asked: Request) -> None:
    pool = InTurns(2, lambda *_: UserError("the checkpoint is broken"))
    with pytest.raises(UserError, match="the checkpoint is broken"):
        run_sharded([plan(asked)], pool)
    assert len(pool.jobs) == 1


@pytest.mark.slow
def test_a_run_of_which_too_much_is_left_out_ends(asked: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded, "MOST_PROBLEMS", 2)
    with pytest.raises(UserError, match="3 parts of the run were left out, the last one: a bug"):
        run_sharded([plan(asked)], InTurns(2, lambda *_: RuntimeError("a bug")))


@pytest.mark.slow
def test_what_an_editor_wrote_that_changed_the_backbone_is_set_aside(
    asked: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.running.shards.blocks.PARTS", 1)  # one block, so that records are written at once
    monkeypatch.setattr("mmke.running.execution.fingerprint", lambda _: "another")
    who = "one of the editors 'ft-llm', 'ft-alignment', 'ike-random' has changed the backbone"
    with pytest.raises(ChangedBackboneError, match=rf"{who}; what was written is void and set aside"):
        run_sharded([plan(asked)], InTurns(2))
    assert {file.parent.name for file in asked.out.rglob("rows.jsonl.void")} == set(QUICK)
    # The floor was asked of the unedited model.
    assert {file.parent.name for file in asked.out.rglob("rows.jsonl")} == {"none"}


@pytest.mark.slow
def test_a_worker_with_other_data_computes_nothing(asked: Request, by_one: Any, small_data: Path) -> None:
    """The worker's plan states another digest of the data than the run."""
    planned = plan(asked)
    other = replace(planned, cells=tuple(replace(cell, data_revision="other") for cell in planned.cells))
    with pytest.raises(UserError, match=r"no worker is left: worker 0 is not used: for none on mmke-entity data_revis"):
        run_sharded([other], InTurns(1))
    assert not list(asked.out.rglob("rows.jsonl"))


@pytest.mark.slow
def test_another_worker_does_what_one_cannot(asked: Request, by_one: Any) -> None:
    def meddle(_job: Job, _sent: int, worker: int) -> Exception | None:
        return NotThisWorkerError("the weights are others there") if worker == 1 else None

    run_sharded([plan(asked)], InTurns(2, meddle))
    assert files(asked.out) == by_one("strict")
