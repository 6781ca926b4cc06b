"""Several processes share a step's records: the same records make the same weights, up to rounding."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmke.training.processes import Processes
from mmke.training.train import TrainRequest, plan, train

Asked = Callable[..., TrainRequest]
PROGRAM = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from mmke.training.train import TrainRequest, plan, train
from mmke.errors import UserError
try:
    train(plan(TrainRequest(backbone="tiny-llava", benchmarks=("mmke-user",), **eval(sys.argv[1]))))
except UserError as error:
    sys.exit(f"told: {error}")
"""


def launch(request: TrainRequest, folder: Path) -> subprocess.CompletedProcess[str]:
    """Train with two processes."""
    script = folder / "two.py"
    script.write_text(f"from pathlib import PosixPath\n{PROGRAM}")
    changed = {"changes": dict(request.changes), "data": request.data, "out": request.out}
    given = repr({**changed, "editor": request.editor, "protocol": request.protocol})
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(script),
        given,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("editor", ["mend", "serac", "ke"])
def test_two_processes_train_the_weights_of_one(editor: str, asked: Asked, tmp_path: Path) -> None:
    alone = load_file(train(plan(asked(editor=editor, out=tmp_path / "one"))))
    request = asked(editor=editor, out=tmp_path / "two")
    done = launch(request, tmp_path)
    assert done.returncode == 0, done.stderr
    together = load_file(plan(request).folder / "best.safetensors")
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"changes": {"gradient_accumulation_steps": 3}}, "2 processes cannot share the 3 records of a step"),
        ({"protocol": "paper"}, "under paper its statistics run from record to record; start one"),
    ],
)
def test_processes_that_cannot_share_are_told(
    asked: Asked, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    assert message in launch(asked(**changes), tmp_path).stderr


def test_one_process_adds_nothing() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    Processes().add_gradients([parameter])
    assert torch.equal(parameter.grad, torch.ones(2))
