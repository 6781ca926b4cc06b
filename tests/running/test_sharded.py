"""A run by several workers writes the bytes of a run by one process, whatever happens to the workers."""

from dataclasses import replace
from pathlib import Path

import pytest
from in_turns import InTurns

from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.running.shards.sharded import run_sharded
from mmke.running.stream_settings import StreamSettings

QUICK = {"ft-llm": {"steps": 3}, "ft-alignment": {"steps": 3}, "ike-random": {"demonstrations": 2}}
SAME = ("rows.jsonl", "answers.jsonl", "cases.jsonl")


@pytest.fixture
def request_(small_data: Path, tmp_path: Path) -> Request:
    return Request(
        "tiny-llava", tuple(QUICK), ("mmke-entity",), changes=QUICK, data=small_data, out=tmp_path / "sharded"
    )


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for name in SAME for file in sorted(out.rglob(name))}


def by_one(request: Request) -> dict[str, bytes]:
    out = request.out.with_name("by-one")
    run(plan(replace(request, out=out)))
    return files(out)


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_the_bytes_are_those_of_one_process(request_: Request, protocol: str) -> None:
    request = replace(request_, protocol=protocol)
    counted: list[None] = []
    outcome = run_sharded([plan(request)], InTurns(2), on_record=lambda: counted.append(None))
    assert files(request.out) == by_one(request)
    assert outcome.problems == []
    assert len(counted) == 16


def test_streams_have_the_bytes_of_one_process(request_: Request) -> None:
    stream = StreamSettings(tests=3, score="right,end")
    changes = {name: QUICK[name] for name in ("ft-llm", "ike-random")}
    request = replace(request_, editors=tuple(changes), changes=changes, stream=stream, order_seeds=(0, 1))
    counted: list[None] = []
    run_sharded([plan(request)], InTurns(3), on_record=lambda: counted.append(None))
    assert files(request.out) == by_one(request)
    assert len(counted) == plan(request).records
