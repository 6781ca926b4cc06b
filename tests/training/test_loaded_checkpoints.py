"""What a run does with checkpoints that fit: their networks are in memory for their own cell alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmke.editing.trained import network_tensors, read, read_facts, write_network
from mmke.protocols import TrainableEditor
from mmke.report.cells import read_cells
from mmke.report.table import render
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.training.train import TrainRequest, train
from mmke.training.train import plan as plan_training

Asked = Callable[..., TrainRequest]


def test_records_that_a_checkpoint_was_trained_on_are_told_and_marked(
    asked: Asked, apart: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = train(plan_training(asked(changes={"steps": 2})))
    facts, _ = read_facts(best)
    known = evaluating_what_is_trained_on(apart, tmp_path)
    assert len(facts.trained_on) == 5
    request = Request("tiny-llava", ("mend",), ("mmke-user",), checkpoints={"mend": best}, data=known, out=tmp_path)
    planned = plan(request)
    assert "was trained on 5 of these 6 records, the first: user-0000" in caplog.text
    assert "was chosen among others by 1 of these 6 records" in caplog.text
    mend = run(planned)[-1]
    records = json.loads((mend / "run.json").read_text())["records"]
    assert (records["trained_on"], records["chosen_by"]) == (5, 1)
    assert "its checkpoint was trained on 5 of these records (mend)" in render(read_cells(mend), "text")


def evaluating_what_is_trained_on(apart: Path, folder: Path) -> Path:
    """Return a copy of the data in which the evaluation records are the training records."""
    shutil.copytree(apart, folder / "copied")
    records = folder / "copied" / "data_json"
    shutil.copy(records / "user_train.json", records / "user_eval.json")
    return folder / "copied"


def test_other_records_are_taken_without_a_word_and_a_checkpoint_that_names_none_is_told(
    asked: Asked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best, silent = train(plan_training(asked(changes={"steps": 2}))), tmp_path / "silent.safetensors"
    caplog.clear()
    request = Request("tiny-llava", ("mend",), ("mini-entity",), limit=2, checkpoints={"mend": best})
    plan(request)
    assert "trained on" not in caplog.text
    facts = replace(read_facts(best)[0], trained_on=(), validated_on=())
    write_network(silent, network_tensors(read(best).tensors), facts)
    plan(replace(request, checkpoints={"mend": silent}))
    assert "silent.safetensors does not say which records it was trained on" in caplog.text


def test_training_records_that_are_evaluated_too_are_told(
    asked: Asked, apart: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan_training(asked(data=evaluating_what_is_trained_on(apart, tmp_path)))
    assert "5 of 5 training records are also among the evaluation records of mmke-user" in caplog.text


@pytest.mark.slow
def test_networks_are_in_memory_while_their_own_cell_runs(asked: Asked, apart: Path, tmp_path: Path) -> None:
    checkpoints = {name: train(plan_training(asked(editor=name, changes={"steps": 2}))) for name in ("mend", "ke")}
    request = Request(
        "tiny-llava", ("mend", "ke"), ("mmke-user",), limit=1, checkpoints=checkpoints, data=apart, out=tmp_path / "run"
    )
    planned, held = plan(request), []
    editors = [cell.editor for cell in planned.cells if isinstance(cell.editor, TrainableEditor)]

    def on_record() -> None:
        held.append([editor.name for editor in editors if editor.network is not None])

    run(planned, on_record=on_record)
    assert held == [[], ["mend"], ["ke"]]
    assert all(editor.network is None for editor in editors)
