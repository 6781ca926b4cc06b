"""Streams' folders written by the code that streams write them with."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import stream_kit


@pytest.fixture
def write_stream(tmp_path: Path) -> Callable[..., Path]:
    """Write the folder of a stream below the test's own folder; see `stream_kit.write_stream`."""
    return partial(stream_kit.write_stream, tmp_path)
