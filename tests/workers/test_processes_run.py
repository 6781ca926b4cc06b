"""A run by processes writes the bytes of a run by one, whoever is killed in the middle."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CELLS = ["--backbone", "tiny-llava", "--editor", "ft-llm", "--editor", "ike-random", "--benchmark", "mmke-entity"]
SETTINGS = ["--set", "ft-llm.steps=40", "--set", "ike-random.demonstrations=2"]
SAME = ("rows.jsonl", "answers.jsonl", "cases.jsonl")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def start(data: Path, out: Path, workers: int, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mmke.cli", "run", *CELLS, *SETTINGS, "--data", str(data), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--workers", str(workers), *more], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )


def finish(run: "subprocess.Popen[str]") -> str:
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    return errors


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for name in SAME for file in sorted(out.rglob(name))}


def rows(out: Path) -> int:
    return sum(content.count(b"\n") for name, content in files(out).items() if name.endswith("rows.jsonl"))


def workers_of(driver: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(re.findall(r"^(\w+):\s+(\S+)", status.read_text(), re.MULTILINE))
        except OSError:  # it has just ended
            continue
        if told["PPid"] == str(driver):
            found.append(int(told["Pid"]))
    return found


def wait_for_rows(run: "subprocess.Popen[str]", out: Path) -> None:
    while not rows(out):
        assert run.poll() is None
        time.sleep(0.02)


@pytest.fixture(scope="module")
def by_one(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("by-one")
    finish(start(small_data, out, 1))
    return files(out)


@pytest.mark.slow
def test_the_bytes_are_those_of_one_process_although_a_worker_was_killed(
    small_data: Path, tmp_path: Path, by_one: dict[str, bytes]
) -> None:
    run = start(small_data, tmp_path, 2)
    wait_for_rows(run, tmp_path)
    before = rows(tmp_path)
    os.kill(workers_of(run.pid)[0], signal.SIGKILL)
    errors = finish(run)
    assert "was lost (killed by signal 9" in errors
    assert 0 < before < rows(tmp_path)
    assert files(tmp_path) == by_one


@pytest.mark.slow
def test_a_run_goes_on_where_its_driver_was_killed(small_data: Path, tmp_path: Path, by_one: dict[str, bytes]) -> None:
    run = start(small_data, tmp_path, 2)
    wait_for_rows(run, tmp_path)
    run.kill()
    run.communicate(timeout=20)
    assert rows(tmp_path) < sum(content.count(b"\n") for name, content in by_one.items() if "rows" in name)
    finish(start(small_data, tmp_path, 2))
    assert files(tmp_path) == by_one


@pytest.mark.slow
def test_one_worker_is_this_process_and_loads_nothing_of_pools(small_data: Path, tmp_path: Path) -> None:
    words = ["run", *CELLS, *SETTINGS, "--limit", "1", "--data", str(small_data), "--out", str(tmp_path)]
    pools = ["mmke.workers.processes", "mmke.running.shards.sharded"]
    program = (
        f"import sys; from mmke.cli import main; assert main({[*words, '--workers', '1']}) == 0; "
        f"sys.exit(any(module in sys.modules for module in {pools}))"
    )
    subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True, timeout=300)
