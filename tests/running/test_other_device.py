"""A run whose device is another machine's: this one need not have it, and all workers have the same."""

from dataclasses import replace
from pathlib import Path

import in_turns
import pytest
from in_turns import InTurns

from mmke.errors import UserError
from mmke.results.run_json import read_run
from mmke.running.loading import Loaded
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.shards.sharded import run_sharded
from mmke.running.shards.share import Share
from mmke.workers.facts import own_facts
from mmke.workers.protocols import Facts

H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB"


def on(device: str) -> Facts:
    return replace(own_facts(), cards=(device,) if device in (H100, A100) else (), processor=device)


@pytest.fixture
def asked(small_data: Path, tmp_path: Path) -> Request:
    return Request(
        "tiny-llava", ("none",), ("mmke-entity",), data=small_data, out=tmp_path / "out", limit=1, elsewhere=True
    )


def workers_on(monkeypatch: pytest.MonkeyPatch, *devices: str) -> InTurns:
    facts = iter([on(device) for device in devices])
    monkeypatch.setattr(in_turns, "own_facts", lambda: next(facts))
    return InTurns(len(devices))


def test_a_run_on_gpus_is_planned_without_one(asked: Request) -> None:
    request = replace(asked, device="cuda")
    with pytest.raises(UserError, match="device 'cuda' is not there"):
        plan(replace(request, elsewhere=False))
    share = Share.of(plan(request), Loaded(skeleton=True), command=(), threads=1)
    list(share.jobs())
    assert share.refuses(on(H100)) is None
    assert {share.settings(cell).device for cell in share.planned.cells} == {H100}
    assert {writer.settings.device for writer in share.writers.values()} == {H100}
    assert f"it computes on {A100}, the run on {H100}" in str(share.refuses(on(A100)))


@pytest.mark.slow
def test_the_first_worker_decides_on_the_device_and_a_folder_keeps_it(
    asked: Request, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder,) = run_sharded([plan(asked)], workers_on(monkeypatch, "Fast", "Slow")).folders
    described = read_run(folder)
    assert described is not None
    assert described["device"] == "Fast"
    assert caplog.text.count("it computes on Slow, the run on Fast") == 1
    more = plan(replace(asked, limit=2))
    with pytest.raises(UserError, match="it computes on Slow, the run on Fast"):
        run_sharded([more], workers_on(monkeypatch, "Slow"))
