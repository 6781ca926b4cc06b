"""An edit of an editor with trained networks: it is known by their digest, and its factors are an exact adapter."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

import mmke
from mmke import cli
from mmke.edits.record import read_record
from mmke.testing.records import draw_picture
from mmke.training.train import TrainRequest, plan, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
ROWS = ([256, 11, 12, 13, 14], [256, 40])
"""Token ids of two questions; 256 begins a sequence."""


@pytest.fixture(scope="module")
def networks(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints of MEND that were hardly trained, of two seeds."""
    changes = {"rank": 4, "steps": 4, "learning_rate": 1e-3, "step": 1.0}
    return [
        train(
            plan(
                TrainRequest(
                    "mend",
                    "tiny-llava",
                    ("mmke-user",),
                    "paper",
                    changes=changes,
                    data=small_data,
                    out=tmp_path_factory.mktemp("trained"),
                    seed=seed,
                )
            )
        )
        for seed in (0, 1)
    ]


@pytest.fixture
def edit(networks: list[Path], tmp_path: Path) -> Path:
    draw_picture(tmp_path / "flag.png", "red")
    backbone = mmke.load_backbone("tiny-llava")
    editor = mmke.load_editor("mend", backbone=backbone, checkpoint=networks[0], protocol="paper")
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Which flag?", mmke.picture(tmp_path / "flag.png")), "Peru and more")])
        session.save(tmp_path / "edit")
    return tmp_path / "edit"


def test_only_the_networks_of_then_are_taken(
    edit: Path, networks: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_record(edit)
    words = ["ask", "--edit", str(edit), "Which?"]
    for more in ([], ["--checkpoint", str(networks[1])]):
        capsys.readouterr()
        assert cli.main([*words, *more]) == 2
        told = capsys.readouterr().err
        assert f"networks of mend whose digest begins with {(record.by.checkpoint or '')[:16]}" in told
    assert cli.main([*words, "--checkpoint", str(networks[0])]) == 0


def test_an_adapter_of_its_factors_is_the_edited_model(edit: Path, networks: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    words = ["export", str(edit), "--to", str(out), "--adapter", "--checkpoint", str(networks[0])]
    assert cli.main(words) == 0
    backbone = mmke.load_backbone("tiny-llava")
    before = logits(backbone.module)
    adapted = PeftModel.from_pretrained(copy.deepcopy(backbone.module), out)
    with mmke.load_edit(edit, backbone, checkpoint=networks[0]) as session, session.module() as module:
        torch.testing.assert_close(logits(adapted), logits(module), rtol=0, atol=1e-5)
    assert float((logits(adapted) - before).abs().max()) > 1e-4


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    """Return the logits of the last position of each row of a left-padded batch."""
    widest = max(map(len, ROWS))
    ids = torch.tensor([[0] * (widest - len(row)) + row for row in ROWS])
    mask = torch.tensor([[0] * (widest - len(row)) + [1] * len(row) for row in ROWS])
    found: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits[:, -1]
    return found
