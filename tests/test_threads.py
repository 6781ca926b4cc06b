"""A process computes with one thread unless the user says more."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from mmke.threads import limit_threads
limit_threads({threads})
import torch
limit_threads({threads})
print(torch.get_num_threads(), torch.get_num_interop_threads())
"""


@pytest.mark.parametrize(("threads", "printed"), [(None, "1 1"), (2, "2 2")])
def test_threads_are_one_or_what_the_user_says(threads: int | None, printed: str) -> None:
    program = PROGRAM.format(threads=threads)
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(printed)
