"""How a command ends: codes, and one line for what the file system or the reader of the output refuses."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmke.cli import main
from mmke.exits import exit_code

PROGRAM = "import sys; from mmke.cli import main; sys.exit(main(sys.argv[1:]))"


def mmke(*arguments: str, **options: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_a_reader_that_went_away_costs_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    done = mmke("ls", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_of_few_letters_gets_escapes(tmp_path: Path) -> None:
    text = {**os.environ, "PYTHONIOENCODING": "ascii"}
    file = tmp_path / "caf\u00e9_eval.json"
    file.write_text("[]")
    done = mmke("check", str(file), env=text, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert rb"caf\xe9_eval.json: 1 problem" in done.stdout


def test_output_that_is_closed_is_no_mistake() -> None:
    assert mmke("ls", stdout=None, preexec_fn=lambda: os.close(1)).stderr == b""


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EFBIG, errno.EISDIR])
def test_what_the_file_system_refuses_is_told_in_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> int:
        raise OSError(number, os.strerror(number), "results/run.json")

    assert exit_code(refused) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"mmke: results/run.json: {os.strerror(number)}; ")
    assert told.count("\n") == 1


def test_a_file_of_ours_that_is_missing_is_a_bug() -> None:
    def broken() -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "published.json")

    with pytest.raises(FileNotFoundError):
        exit_code(broken)


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert exit_code(interrupted) == 130
    assert "the same command continues" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ft-llm" / "run.json").mkdir(parents=True)
    assert main(["table", str(tmp_path)]) == 2
    assert "run.json: Is a directory; move it away" in capsys.readouterr().err


TALK = """
import logging
from mmke.cli import main
main(["ls", "metrics"])
for name in ("mmke.running", "torch"):
    logging.getLogger(name).info("%s talks", name)
"""


def test_the_console_shows_our_messages_and_only_warnings_of_libraries() -> None:
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, check=True)
    assert done.stderr == b"mmke: mmke.running talks\n"
