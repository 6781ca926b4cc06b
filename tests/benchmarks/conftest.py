"""A small data set in the published format, every picture of a colour of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from published_records import COLOURS

from mmke.benchmarks.splits import AnnotationBenchmark


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A picture folder with the four pictures that the records name."""
    folder = tmp_path / "data_image"
    folder.mkdir()
    for name, rgb in COLOURS.items():
        Image.new("RGB", (4, 4), rgb).save(folder / name)
    return folder


@pytest.fixture
def dataset(tmp_path: Path, pictures: Path) -> Callable[..., AnnotationBenchmark]:
    """Write records (or raw bytes) as the evaluation split and return the benchmark over it."""

    def write(*records: Any, content: bytes | None = None) -> AnnotationBenchmark:
        file = tmp_path / "data_json" / "entity_eval.json"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(json.dumps(records).encode() if content is None else content)
        return AnnotationBenchmark("ours", "revision", {"eval": file}, pictures)

    return write
