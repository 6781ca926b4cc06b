"""However the process ends that started workers, none of them is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_jobs import is_running

INTERRUPTED = "mmke: interrupted; what is written is kept, and the same command continues\n"
PROGRAM = """
import sys
from pathlib import Path
import small_jobs
from mmke.exits import exit_code
from mmke.workers.processes import Processes
from mmke.workers.protocols import Ready
from mmke.workers.settings import WorkerSettings

def main():
    with Processes(WorkerSettings(folder=Path(sys.argv[1])), 3, set_up=small_jobs.set_up) as pool:
        for _ in range(3):
            ready = pool.next()
            assert isinstance(ready, Ready)
            print(ready.facts.pid, flush=True)
        pool.give(0, small_jobs.Small("long", send=0, then=small_jobs.sleep))
        pool.give(1, small_jobs.Small("deaf", send=0, then=small_jobs.sleep_deaf))
        pool.next()
        print("ready", flush=True)
        pool.next()
    return 0

sys.exit(exit_code(main))
"""


def wait_until(claim: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not claim() and time.monotonic() < end:
        time.sleep(0.05)
    return claim()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "to", "code"),
    [
        (signal.SIGKILL, "driver", -signal.SIGKILL),
        (signal.SIGTERM, "driver", -signal.SIGTERM),
        (signal.SIGINT, "all", 130),  # what a terminal sends on Ctrl-C
        (signal.SIGINT, "driver", 130),
    ],
)
def test_no_worker_outlives_the_process_that_started_it(
    tmp_path: Path, how: signal.Signals, to: str, code: int
) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    # A program that is started in the background of a shell ignores Ctrl-C, and so do all that it starts.
    heeding = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{PROGRAM}"
    driver = subprocess.Popen(
        [sys.executable, "-c", heeding, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert driver.stdout is not None
    told = [driver.stdout.readline() for _ in range(4)]
    assert told[3] == "ready\n"
    pids = [int(pid) for pid in told[:3]]
    assert all(is_running(pid) for pid in pids)
    began = time.monotonic()
    if to == "all":
        os.killpg(driver.pid, how)
    else:
        driver.send_signal(how)
    _, errors = driver.communicate(timeout=20)
    assert driver.returncode == code
    assert errors == (
        "mmke: interrupted; what is written is kept, and the same command continues\n" if code > 0 else ""
    )
    assert wait_until(lambda: not any(is_running(pid) for pid in pids), 2)
    assert time.monotonic() - began < 8
