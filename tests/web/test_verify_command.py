"""The command that serves the verification page: killed, ended, and started a second time."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect
from verify_kit import at, enter, project, states, verdicts


@contextmanager
def command(folder: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a project from a program of its own, and return it with its address."""
    code = (
        "import sys; from pathlib import Path; from mmke.build.project import open_project;"
        "from mmke.web.verify import serve\n"
        "with open_project(Path(sys.argv[1])) as project:"
        " serve(project, annotator='Ruth', port=int(sys.argv[2]), open_browser=False)"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:"), line
        yield program, line.split()[1]
    finally:
        program.kill()
        program.communicate()


@pytest.mark.slow
def test_after_a_kill_verdicts_and_drafts_are_there(window: BrowserContext, tmp_path: Path) -> None:
    folder = project(tmp_path)
    with command(folder) as (program, address):
        page = enter(window, address, None)
        page.keyboard.press("a")
        at(page, "Boria")
        page.keyboard.press("c")
        page.keyboard.press("End")
        page.keyboard.type(" Before the kill.")
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        page.keyboard.type(" After it.")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#trouble")).to_contain_text("The server does not answer. Nothing is lost")
    whole = (folder / "verdicts.jsonl").read_bytes()
    (folder / "verdicts.jsonl").write_bytes(whole + whole[:40])  # a kill in the middle of a line
    port = int(address.split("#")[0].rstrip("/").rpartition(":")[2])
    with command(folder, port) as (_, address):
        page.goto(address)
        at(page, "Boria")
        expect(page.locator('textarea[name="target"]')).to_have_value(re.compile("Before the kill. After it."))
        page.keyboard.press("Control+Enter")
        at(page, "Corda")
    assert [each["decision"] for each in verdicts(folder)] == ["accept", "correct"]
    assert states(folder) == ["accepted", "corrected", "open"]


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_a_second_one_is_told(tmp_path: Path) -> None:
    folder = project(tmp_path)
    with command(folder) as (program, address):
        port = address.split("#")[0].rstrip("/").rpartition(":")[2]
        other = project(tmp_path / "other")
        for place, told in ((folder, "works on this project"), (other, "is the page open already")):
            code = (
                "import sys; from pathlib import Path; from mmke.build.project import open_project;"
                "from mmke.web.verify import serve\n"
                "with open_project(Path(sys.argv[1])) as project: serve(project, port=int(sys.argv[2]))"
            )
            second = subprocess.run(
                [sys.executable, "-c", code, str(place), port], capture_output=True, text=True, check=False, timeout=60
            )
            assert second.returncode != 0
            assert told in second.stderr
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=20)
        assert (program.returncode, errors) == (0, "")
