"""The commands in README and docs are understood; those that need neither a network nor a GPU work in their order."""

import json
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from mmke import cli

ROOT = Path(__file__).parents[1]
GUIDES = ("docs/first-steps.md", "README.md", "docs/commands.md", "docs/training.md")
PAGES = (*GUIDES, *sorted({str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md")} - set(GUIDES)))
LARGE = re.compile(r"llava-1\.5-7b|minigpt4-7b|blip2-opt-2\.7b|hf:|cuda")
OWN = re.compile(r"(--backbone|--editor|--metric|--benchmark) (mine|nudge|contains|things)\b")
"""Names of the guides' example packages, which tests/test_guides.py runs."""
PUBLISHED_DATA = "/data/mmke"
TINY = {"smol-llava": "tiny-llava", "smol-minigpt4": "tiny-minigpt4"}
SHORT = {
    "run": ["--limit", "1"],
    "stream": ["--tests", "2"],
    "train": ["--set", "steps=2", "--set", "validate_every=1", "--set", "validation_records=1"],
    "bench": ["--records", "1", "--warm", "0"],
}
"""What makes a command short and changes nothing else."""


def commands(pages: Iterable[str]) -> list[str]:
    """Every line of a shell block that calls `mmke`, once and in order; what `make run` calls is the first."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in pages]
    found = [block for text in texts for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    blocks = [block.replace("\\\n", " ") for block in found]  # a line that is continued is one command
    lines = [shlex.join(shlex.split(line, comments=True)) for block in blocks for line in block.splitlines()]
    called = [re.sub(r"^make run$", "mmke run", line) for line in lines]
    return list(dict.fromkeys(line.removeprefix("mmke ") for line in called if line.startswith("mmke ")))


def small(command: list[str], data: Path) -> list[str]:
    """The same command on a tiny model, few records and the data set of the tests."""
    words = [str(data) if word == PUBLISHED_DATA else TINY.get(word, word) for word in command]
    model = ["--backbone", "tiny-llava"] if words[0] in SHORT and "--backbone" not in words else []
    return [*words, *model, *SHORT.get(words[0], [])]


@pytest.mark.parametrize("command", [command for command in commands(PAGES) if not OWN.search(command)])
def test_every_command_of_the_documentation_is_understood(command: str) -> None:
    assert cli.parse(shlex.split(command))


@pytest.mark.slow
def test_the_commands_of_the_guides_work_in_their_order_in_one_folder(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_data / "data_image", "data_image")
    Path("my_eval.json").write_text(json.dumps(json.loads((small_data / "data_json/user_eval.json").read_text())))
    ours = [shlex.split(command) for command in commands(GUIDES) if not LARGE.search(command)]
    # The commands of `build` have a test of their own, which goes the whole way; the others need a network.
    done = [command for command in ours if command[0] not in ("build", "fetch", "setup")]
    assert {"run", "table", "check", "train", "bench", "ls"} <= {command[0] for command in done}
    for command in done:
        code = cli.main(small(command, small_data))
        assert code == 0, f"mmke {shlex.join(command)}: {capsys.readouterr().err}"
