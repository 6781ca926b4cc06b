"""The version, `python -m mmke`, colours, and completion."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mmke import cli


def _run(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mmke", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    return done.stdout


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mmke {version('mmke')}\n"


def test_python_m_mmke_is_the_command() -> None:
    assert _run("--version") == f"mmke {version('mmke')}\n"


def test_no_color_takes_the_colours_out_of_the_help() -> None:
    forced = _run("ls", "--help", FORCE_COLOR="1", NO_COLOR="")
    plain = _run("ls", "--help", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[1;33m" in forced or "\x1b[36m" in forced
    assert not any(f"\x1b[{bold}{colour}m" in plain for bold in ("", "1;", "2;") for colour in range(30, 38))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_completes(shell: str, tmp_path: Path) -> None:
    told = _run("--install-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", HOME=str(tmp_path))
    (script,) = (path for path in tmp_path.rglob("*mmke*") if path.is_file())
    assert "_MMKE_COMPLETE" in script.read_text()
    assert str(script) in told


def test_bash_is_told_the_editors_that_begin_so() -> None:
    asked = {"_MMKE_COMPLETE": "complete_bash", "COMP_WORDS": "mmke run --editor ft-", "COMP_CWORD": "3"}
    assert _run(**asked).split() == ["ft-llm", "ft-alignment"]
