"""The process's random generators, lent to what seeds them and put back afterwards."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def generators_kept() -> Iterator[None]:
    """Put the states of Python's, numpy's and torch's generators back at the end, on every device."""
    python, numpy_ = random.getstate(), np.random.get_state()  # noqa: NPY002  # the caller's, whatever they use
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_)  # noqa: NPY002
