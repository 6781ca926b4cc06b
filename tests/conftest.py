"""Shared by all tests: one thread a process, no network, and what is slow to make, made once a session."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

# Before torch is imported, here and in the programs that tests start: threads of several processes on two cores wait
# for each other.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MMKE_WORKERS"] = "1"
# What the user's own cache holds must not decide a test, nor what another worker writes; removed when the session ends.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="mmke-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `--data` folder: four training and four evaluation records of each kind."""
    from mmke.testing.records import write_small_data

    return write_small_data(tmp_path_factory.mktemp("small") / "data")
