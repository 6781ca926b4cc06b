"""The README's commands are understood, and those that need neither network nor large weights work in their order."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmke import cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LARGE = re.compile(r"llava-1\.5-7b|minigpt4-7b|blip2-opt-2\.7b|hf:")
PUBLISHED_DATA = "/data/mmke"
TINY = {"smol-llava": "tiny-llava", "smol-minigpt4": "tiny-minigpt4"}
SHORT = {
    "run": ["--limit", "1"],
    "stream": ["--tests", "2"],
    "train": ["--set", "steps=2", "--set", "validate_every=1", "--set", "validation_records=1"],
    "bench": ["--records", "1", "--warm", "0"],
}
"""What makes a command short and changes nothing else."""


def commands() -> Iterator[list[str]]:
    """Every line of a shell block that calls `mmke`, in order; what `make run` calls is the first."""
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["make", "run"]:
                yield ["run"]
            if words[:1] == ["mmke"]:
                yield words[1:]


def small(command: list[str], data: Path) -> list[str]:
    """The same command on a tiny model, few records and the data set of the tests."""
    words = [str(data) if word == PUBLISHED_DATA else TINY.get(word, word) for word in command]
    model = ["--backbone", "tiny-llava"] if words[0] in SHORT and "--backbone" not in words else []
    return [*words, *model, *SHORT.get(words[0], [])]


@pytest.mark.parametrize("command", list(commands()), ids=shlex.join)
def test_every_command_of_the_readme_is_understood(command: list[str]) -> None:
    assert cli.parse(command)


@pytest.mark.slow
def test_the_readmes_commands_work_in_their_order_in_one_folder(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_data / "data_image", "data_image")
    Path("my_eval.json").write_text(json.dumps(json.loads((small_data / "data_json/user_eval.json").read_text())))
    ours = [command for command in commands() if command[0] != "fetch" and not LARGE.search(shlex.join(command))]
    assert {"run", "table", "check", "train", "bench", "ls"} <= {command[0] for command in ours}
    for command in ours:
        code = cli.main(small(command, small_data))
        assert code == 0, f"mmke {shlex.join(command)}: {capsys.readouterr().err}"
