"""The Python calls, and that the README's commands and program are ones that work."""

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mmke
from mmke.running.generators import generators_kept
from mmke.testing.records import draw_picture
from mmke.training.train import TrainRequest, plan, train
from mmke.types import ASKED

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture(scope="module")
def backbone() -> object:
    return mmke.load_backbone("tiny-llava")


@pytest.fixture
def picture(tmp_path: Path) -> object:
    draw_picture(tmp_path / "flag.png", "red")
    return mmke.picture(tmp_path / "flag.png")


def test_an_edit_is_heard_inside_and_undone_outside(backbone: object, picture: object) -> None:
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", learning_rate=1e-2)
    before = mmke.say(backbone, "Which flag?", picture)
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Which flag?", picture), "Peru")])
        assert mmke.say(session, "Which flag?", picture) != before
    assert mmke.say(backbone, "Which flag?", picture) == before


def test_a_benchmark_runs_and_gives_its_cells(small_data: Path, tmp_path: Path) -> None:
    request = mmke.Request(
        "tiny-llava", ("ike-random",), ("mmke-user",), limit=1, data=small_data, out=tmp_path / "out"
    )
    assert [cell.as_dict()["editor"] for cell in mmke.run_benchmark(request)] == ["none", "ike-random"]


@pytest.fixture(scope="module")
def trained(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of MEND that was hardly trained."""
    changes = {"rank": 4, "steps": 4, "learning_rate": 1e-3, "step": 1.0}
    out = tmp_path_factory.mktemp("trained")
    request = TrainRequest("mend", "tiny-llava", ("mmke-user",), "paper", changes=changes, data=small_data, out=out)
    return train(plan(request))


def test_a_trained_editor_is_loaded_from_its_checkpoint(backbone: object, picture: object, trained: Path) -> None:
    editor = mmke.load_editor("mend", backbone=backbone, checkpoint=str(trained), protocol="paper")
    (before,) = backbone.answer([probe(picture)], mmke.Ask())
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Which flag?", picture), "Peru and more")])
        assert session.answer([probe(picture)], mmke.Ask())[0].target_logprob != before.target_logprob


def probe(picture: object) -> mmke.Probe:
    return mmke.Probe(ASKED, mmke.Query("Which flag?", picture), "Peru")


def test_a_trained_editor_needs_a_checkpoint_and_the_loaded_backbone(backbone: object, trained: Path) -> None:
    with pytest.raises(
        mmke.UserError, match=r"mend has to be trained for tiny-llava under strict first: .*checkpoint=PATH"
    ):
        mmke.load_editor("mend", backbone=backbone)
    with pytest.raises(mmke.UserError, match=r"load_editor\('mend', backbone=mmke.load_backbone\('tiny-llava'\)\)"):
        mmke.load_editor("mend", backbone="tiny-llava", checkpoint=trained)
    with pytest.raises(mmke.UserError, match="is a checkpoint of the editor 'mend', and this run uses 'ft-llm'"):
        mmke.load_editor("ft-llm", backbone=backbone, checkpoint=trained)
    with pytest.raises(mmke.UserError, match="was trained with other settings: rank = 4 there and 5 here"):
        mmke.load_editor("mend", backbone=backbone, checkpoint=trained, rank=5)


@pytest.mark.parametrize("name", ["mend", "serac", "ke"])
def test_a_shipped_checkpoint_is_found_by_the_name_of_its_backbone(name: str) -> None:
    skeleton = mmke.load_backbone("smol-llava", skeleton=True)
    assert mmke.load_editor(name, backbone=skeleton).network is not None


def test_an_answer_is_as_long_as_it_was_asked_to_be_and_a_cut_is_told(
    backbone: object, picture: object, caplog: pytest.LogCaptureFixture
) -> None:
    whole = mmke.say(backbone, "Which flag?", picture, max_new_tokens=40)
    caplog.clear()
    cut = mmke.say(backbone, "Which flag?", picture, max_new_tokens=2)
    assert len(cut) < len(whole)
    assert "the answer was cut after 2 tokens" in caplog.text
    with pytest.raises(mmke.UserError, match="max_new_tokens = 0"):
        mmke.say(backbone, "Which flag?", max_new_tokens=0)


def test_a_benchmark_leaves_the_callers_generators_as_they_were(small_data: Path, tmp_path: Path) -> None:
    request = mmke.Request("tiny-llava", ("ft-llm",), ("mmke-user",), limit=1, data=small_data, out=tmp_path / "out")
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(7)
    expected = drawn()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(7)
    with generators_kept():
        drawn()
        torch.manual_seed(0)
    assert drawn() == expected
    torch.manual_seed(7)
    mmke.run_benchmark(replace(request, changes={"ft-llm": {"steps": 1}}))
    assert torch.rand(1).item() == expected[2]


def drawn() -> tuple[float, float, float]:
    """Draw from each of the generators that a caller may use."""
    return random.random(), float(np.random.random()), torch.rand(1).item()  # noqa: NPY002, S311


def test_training_records_come_from_the_benchmark() -> None:
    train = mmke.open_benchmark("mini-user").load("train", hop=0, switches=mmke.STRICT).cases
    assert mmke.load_editor("ike", backbone="tiny-llava", train=train).name == "ike"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: mmke.load_backbone("lama"), "unknown backbone 'lama'"),
        (lambda: mmke.load_editor("ft-llm", backbone="tiny-lava"), "unknown backbone 'tiny-lava'"),
        (lambda: mmke.load_editor("ft-llm", backbone="tiny-llava", step=1), "unknown key 'step'"),
        (lambda: mmke.load_editor("ft-llm", backbone="tiny-llava", protocol="papr"), "unknown protocol 'papr'"),
        (lambda: mmke.load_editor("ike", backbone="tiny-llava"), "from Python they are given: load_editor"),
        (lambda: mmke.picture("/nowhere.png"), "no picture /nowhere.png"),
        (lambda: mmke.say(mmke.load_backbone("tiny-minigpt4"), ""), "empty question"),
    ],
)
def test_a_mistake_is_told(call: object, told: str) -> None:
    with pytest.raises(mmke.UserError, match=told):
        call()  # type: ignore[operator]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(mmke, name) for name in mmke.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mmke.nothing


def test_the_readmes_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *_ = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert program.count("smol-llava") == 2
    draw_picture(tmp_path / "flag.png", "red")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    exec(program.replace("smol-llava", "tiny-llava"), {"print": said.append})  # noqa: S102 - it is what the README says
    assert len(said) == 2
