"""A GPU that is full in the middle of a run costs one message, and none of what is finished."""

import json
from pathlib import Path

import pytest
import torch

from mmke.cli import main
from mmke.editing.weight_session import WeightSession
from mmke.errors import UserError
from mmke.results.finished import read_finished
from mmke.running.loading import load
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run

RUN = ["run", "--backbone", "tiny-llava", "--benchmark", "mmke-user", "--editor", "ft-llm", "--set", "ft-llm.steps=2"]


@pytest.fixture
def request_(small_data: Path, tmp_path: Path) -> Request:
    changes = {"ft-llm": {"steps": 2}}
    return Request(
        "tiny-llava", ("ft-llm",), ("mmke-user",), changes=changes, data=small_data, out=tmp_path / "results"
    )


def fill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let memory end in the third record's edit."""
    apply, applied = WeightSession.apply, []

    def until_full(session: WeightSession, edits: object) -> None:
        applied.append(edits)
        if len(applied) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        apply(session, edits)  # type: ignore[arg-type]

    monkeypatch.setattr(WeightSession, "apply", until_full)


@pytest.fixture
def full_at_the_third(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(monkeypatch)


def rows(out: Path) -> bytes:
    (file,) = out.rglob("ft-llm/rows.jsonl")
    return file.read_bytes()


@pytest.mark.usefixtures("full_at_the_third")
def test_the_message_names_editor_backbone_and_record_and_what_is_finished_is_kept(request_: Request) -> None:
    with pytest.raises(UserError, match="too little memory for ft-llm on tiny-llava at record user-00002") as caught:
        run(plan(request_))
    assert "what is finished is kept" in str(caught.value)
    (folder,) = request_.out.rglob("ft-llm")
    assert [record.case_id for record in read_finished(folder)] == ["user-00000", "user-00001"]


@pytest.mark.usefixtures("full_at_the_third")
def test_the_command_ends_with_one_line_and_no_traceback(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "--data", str(small_data), "--out", str(tmp_path / "results")]) == 2
    told = capsys.readouterr().err
    assert "too little memory for ft-llm" in told
    assert "Traceback" not in told
    assert len([line for line in told.splitlines() if line.startswith("mmke: ")]) == 1


@pytest.mark.slow
def test_the_same_command_goes_on_to_the_same_bytes(
    request_: Request, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [*RUN, "--data", str(small_data), "--out"]
    with monkeypatch.context() as full:
        fill(full)
        assert main([*given, str(tmp_path / "results")]) == 2
    assert main([*given, str(tmp_path / "results")]) == 0
    assert main([*given, str(tmp_path / "whole")]) == 0
    assert rows(tmp_path / "results") == rows(tmp_path / "whole")
    assert len({json.loads(line)["case_id"] for line in rows(tmp_path / "whole").splitlines()}) == 4


def test_a_card_that_is_full_while_the_model_is_read_costs_one_line(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("mmke.running.loading.registry.factory", lambda *_: full)
    with pytest.raises(UserError, match="cpu has too little memory to load tiny-llava; end what else runs there"):
        load(request_)
