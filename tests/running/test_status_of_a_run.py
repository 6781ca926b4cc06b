"""A results folder is looked at while a run in another process writes it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.results.status import Looker


@pytest.mark.slow
def test_a_run_can_be_watched_from_its_beginning_to_its_end(small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["run", "--backbone", "tiny-llava", "--editor", "ft-llm", "--set", "ft-llm.steps=20", "--out", str(out)]
    data = ["--benchmark", "mmke-entity", "--benchmark", "mmke-user", "--data", str(small_data)]
    seen: list[tuple[int, int | None]] = []
    writing = set()
    looker = Looker(out)
    with subprocess.Popen([sys.executable, "-m", "mmke.cli", *command, *data], stdout=subprocess.DEVNULL) as program:
        while program.poll() is None:
            try:
                found = looker.look()
            except UserError:  # nothing is written yet
                assert not seen
                continue
            assert [cell.problem for cell in found.cells if cell.problem] == []
            seen.append((found.done, found.wanted))
            writing |= {cell.writing for cell in found.cells}
            time.sleep(0.02)
    assert program.returncode == 0
    assert {wanted for _, wanted in seen} == {16}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({done for done, _ in seen}) > 4
    assert "lock" in writing
    assert looker.look().finished
