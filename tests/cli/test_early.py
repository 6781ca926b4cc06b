"""What needs no model is done, and what is wrong with a command is told, before PyTorch is loaded."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import contextlib, io, json, sys
from mmke.cli import main
found = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        code = main(command)
    loaded = [name for name in sys.argv[2].split(",") if name in sys.modules]
    found.append([code, loaded, told.getvalue()])
print(json.dumps(found))
"""


def carried_out(commands: list[list[str]], *, heavy: str) -> list[Any]:
    """Return each command's exit code, which of some libraries were loaded then, and its messages."""
    words = [sys.executable, "-c", PROGRAM, json.dumps(commands), heavy]
    return list(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))


def test_mistakes_that_need_no_model_are_told_before_pytorch_is_loaded(small_data: Path) -> None:
    mistakes = [
        ["run", "--weights", "NOWHERE"],
        ["run", "--backbone", "smol-lava"],
        ["run", "--editor", "mend2"],
        ["run", "--hop", "9"],
        ["run", "--limit", "-1"],
        ["run", "--seed", str(2**64)],
        ["run", "--out", str(small_data / "data_json" / "user_eval.json")],
        ["run", "--device", "gpu"],
        ["run", "--set", "ft-llm"],
        ["run", "--set", "mend.rank=3", "--editor", "ike"],
        ["run", "--settings", "/nowhere/x.toml"],
        ["run", "--checkpoint", "mend"],
        ["run", "--benchmark", "mmke-entity", "--data", "/nowhere"],
        ["run", "--benchmark", "/nowhere/own.json"],
        ["stream", "--preset", "livelong"],
        ["stream", "--score", "now"],
        ["stream", "--batch", "2", "--score", "gap:3"],
        ["stream", "--order", "random"],
        ["stream", "--preset", "memeic", "--benchmark", "mini-user"],
        ["train", "mendd"],
        ["train", "mend", "--set", "rank"],
        ["train", "mend", "--weights", "NOWHERE"],
        ["train", "mend", "--benchmark", "mmke-entity", "--data", "/nowhere"],
        ["bench", "--records", "0"],
        ["import", "mendd", "x", "--backbone", "tiny-llava", "--benchmark", "mini-entity"],
        ["fetch", "mke"],
        ["table", "/nowhere"],
        ["check", "mmke-entity", "--data", "/nowhere"],
    ]
    for command, (code, loaded, told) in zip(mistakes, carried_out(mistakes, heavy="torch,transformers"), strict=True):
        assert (code, loaded) == (2, []), command
        assert told.startswith("mmke: "), command


def test_lists_and_checks_load_no_pytorch(small_data: Path) -> None:
    commands = [["ls"], ["ls", "editors"], ["check", "mmke-user", "--data", str(small_data)], ["run", "--help"]]
    assert [each[:2] for each in carried_out(commands, heavy="torch,transformers")] == [[0, []]] * len(commands)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["run", "--device", "cuda:7"],
        ["run", "--editor", "ft-llm", "--set", "ft-llm.stepps=3"],
        ["train", "mend", "--set", "rank=four"],
    ],
)
def test_mistakes_in_settings_and_devices_are_told_before_the_library_of_models_is_loaded(command: list[str]) -> None:
    ((code, loaded, told),) = carried_out([command], heavy="transformers")
    assert (code, loaded) == (2, [])
    assert "--set" not in command or command[-1].partition("=")[0].rpartition(".")[2] in told
