"""What docs/building-export.md says: its commands, its table of rules, its list of files."""

import re
import shlex
from pathlib import Path

import pytest
from kit import make_project

from mmke import cli, registry
from mmke.build.rules.check import rules

PAGE = (Path(__file__).parents[2] / "docs" / "building-export.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("words", commands(), ids=shlex.join)
def test_every_command_is_understood(words: list[str]) -> None:
    assert words[0] == "mmke"
    assert cli.parse(words[1:])


def test_the_table_has_every_rule_with_what_it_asks_for_and_why() -> None:
    rows = [
        f"| `{name}` | {registry.summary(registry.import_string('rules', name))} | {rule.reason} |"
        for name, rule in rules().items()
    ]
    assert "\n".join(["|---|---|---|", *rows, ""]) in PAGE


def test_the_command_line_tags_exports_and_tells_of_the_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, out = make_project(tmp_path / "project"), tmp_path / "out"
    tagging = ["build", "check", str(project), "--backbone", "tiny-llava", "--weights", "random"]
    assert cli.main(tagging) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "blind: not guessed (6), known: unknown (6)" in told
    assert "6 records: the rules find nothing" in told
    assert cli.main([*tagging, "--format", "json"]) == 0
    assert capsys.readouterr().out == "[]\n"
    export = ["build", "export", str(project), "--to", str(out), "--unverified", "--hub", "me/flags", "--yes"]
    assert cli.main(export) == 0
    told = capsys.readouterr().out
    assert "2 records for training, 4 for evaluation" in told
    assert "hub: nothing was sent: HF_HUB_OFFLINE is set. It would send" in told
    listed = set(re.findall(r"`([\w<>/.]+\.(?:json|jsonl|md|cff))`", PAGE.partition("## The exported")[2]))
    written = {file.relative_to(out).as_posix().replace("entity", "<kind>") for file in out.rglob("*.*")}
    assert {path for path in written if not path.endswith(".png")} == listed
