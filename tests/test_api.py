"""The Python calls, and that the README's commands and program are ones that work."""

import re
import shlex
from pathlib import Path

import pytest

import mmke
from mmke import cli
from mmke.testing.records import draw_picture

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


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("mmke ")]


@pytest.mark.parametrize("command", commands())
def test_the_readmes_commands_are_understood(command: str) -> None:
    cli._parser().parse_args(shlex.split(command, comments=True)[1:])


def test_the_readmes_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert program.count("smol-llava") == 2
    draw_picture(tmp_path / "flag.png", "red")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    exec(program.replace("smol-llava", "tiny-llava"), {"print": said.append})  # noqa: S102 - it is what the README says
    assert len(said) == 2
