"""Checkpoints of earlier versions, in which the optimizer's tensors had another name, go on as they would have."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mmke.editing.trained import TrainedFor, read
from mmke.protocols import Training
from mmke.training.last_checkpoint import TrainingState, restore, write_last
from mmke.training.progress import Progress


def training_state(*, steps: int) -> TrainingState:
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(steps):
        network(torch.ones(2)).sum().backward()
        optimizer.step()
    return TrainingState(network, optimizer, None, Progress(3, Training(9, 1, 1.0, 0, 1, 9), None, 0, done=steps))


def test_the_optimizer_goes_on_from_its_earlier_name(tmp_path: Path) -> None:
    facts = TrainedFor("mend", "tiny-llava", "x", ("mmke-user",), "strict", {}, 0, 2, {})
    trained, fresh = training_state(steps=2), training_state(steps=0)
    write_last(tmp_path / "last.safetensors", trained, facts, data="x")
    with safe_open(tmp_path / "last.safetensors", framework="pt") as opened:
        renamed = {key.replace("optimizer.", "optimiser."): opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        save_file(renamed, tmp_path / "old.safetensors", metadata=opened.metadata())
    restore(fresh, read(tmp_path / "old.safetensors"))
    before, after = (each.optimizer.state_dict()["state"] for each in (trained, fresh))
    assert before.keys() == after.keys() == {0, 1}
    assert all(torch.equal(after[number][name], value) for number in before for name, value in before[number].items())
    assert fresh.progress.done == 2
