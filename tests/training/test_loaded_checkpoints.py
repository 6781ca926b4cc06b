"""What a run does with checkpoints that fit: their networks are in memory for their own cell alone."""

from collections.abc import Callable
from pathlib import Path

from mmke.protocols import TrainableEditor
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.training.train import TrainRequest, train
from mmke.training.train import plan as plan_training

Asked = Callable[..., TrainRequest]


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
