"""What docs/building.md promises, done word by word: its commands, and what they print."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmke import cli
from mmke.build.project import open_project
from mmke.build.record import EDIT_TEXTS
from mmke.build.records import records

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "building.md").read_text(encoding="utf-8")
BROWSER = os.environ.get("MMKE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [text for named, text in found if named == language]


def commands() -> list[list[str]]:
    return [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]


@pytest.mark.parametrize("words", commands(), ids=shlex.join)
def test_every_command_of_the_guide_is_understood(words: list[str]) -> None:
    assert words[0] == "cp" or cli.parse(words[1:])


def test_every_command_of_the_builder_is_in_the_guide() -> None:
    from mmke.cli.build import build

    told = set(re.findall(r"`mmke build (\w+)", GUIDE))
    assert told == {command.name for command in build.registered_commands}


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser is on the path, and MMKE_CHROMIUM names none")
def test_the_ten_minutes_of_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    (shown,) = [block for block in blocks("") if block.startswith("collect:")]
    for words in commands():
        if words[:3] == ["mmke", "build", "verify"]:
            script = [sys.executable, ROOT / "examples" / "building" / "verify_some.py", "birds"]
            subprocess.run(script, check=True)
        elif words[0] == "cp":
            subprocess.run(words, check=True)
        else:
            small = ["--backbone", "tiny-llava", "--limit", "1"] if words[1] == "run" else []
            capsys.readouterr()
            assert cli.main([*words[1:], *small]) == 0, capsys.readouterr().err
            if words[:3] == ["mmke", "build", "run"]:
                assert capsys.readouterr().out == shown
    rows = list(Path("results").rglob("rows.jsonl"))
    assert {row.parent.name for row in rows} == {"none", "ft-llm", "ike"}


@pytest.mark.slow
def test_the_records_of_the_example_are_those_that_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = set()
    for kind in ("entity", "semantic", "user"):
        assert cli.main(["build", "new", kind, "--kind", kind, "--name", "built"]) == 0
        assert cli.main(["build", "run", kind]) == 0
        with open_project(Path(kind), write=False) as project:
            for record in records(project):
                texts = record.texts
                said |= {texts[name] for name in EDIT_TEXTS}
                said |= {f"{texts[f'{key}.question']} {texts[f'{key}.answer']}" for key in asked(texts)}
    example = (ROOT / "docs" / "building-example.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:before|after|prompt|[TI]-\w+|Port) \| (.*) \|$", example, re.MULTILINE)
    assert len(rows) == 16
    assert {row.replace("*", "") for row in rows} <= said


def asked(texts: dict[str, str]) -> list[str]:
    return [name.removesuffix(".question") for name in texts if name.endswith(".question")]
