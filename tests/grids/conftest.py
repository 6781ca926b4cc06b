"""Small grids for tests: tiny backbones, few steps, the small data."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmke.grid.expand import Place, Run, expand
from mmke.grid.file import read
from mmke.grid.only import narrowed

SMALL = """
backbones = ["tiny-llava"]
editors = ["ft-llm", "mend"]
benchmarks = ["mmke-entity", "mmke-user"]
limit = 2

[settings.ft-llm]
steps = 2

[settings.mend]
steps = 8
rank = 4
gradient_accumulation_steps = 2
validate_every = 4
validation_records = 1
learning_rate = 1e-3
"""
"""Two benchmarks, an editor that is trained and one that is not."""


PICTURED = ("image", "image_rephrase", "one_hop_img")


@pytest.fixture(scope="session")
def own_pictures(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `--data` folder whose training records share no picture, so that some can be held out."""
    root = tmp_path_factory.mktemp("own") / "data"
    shutil.copytree(small_data, root)
    for kind in ("entity", "user"):
        file = root / "data_json" / f"{kind}_train.json"
        records = json.loads(file.read_text())
        for number, record in enumerate(records):
            for field in (field for field in PICTURED if field in record):
                picture = Image.open(root / "data_image" / record[field])
                picture.putpixel((0, 0), (number, number, number))
                record[field] = f"{kind}-{number}-{field}.png"
                picture.save(root / "data_image" / record[field])
        file.write_text(json.dumps(records))
    return root


@pytest.fixture
def small_grid(tmp_path: Path) -> Path:
    """The file of a small grid."""
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return file


@pytest.fixture
def runs_of(own_pictures: Path, tmp_path: Path) -> Callable[..., list[Run]]:
    """Return the runs of a file, with results and checkpoints in a folder of the test."""

    def expanded(file: Path, *only: str, place: Path = tmp_path) -> list[Run]:
        whole = read(file)
        return expand(whole, narrowed(whole, only), Place(place / "results", place / "checkpoints", own_pictures))

    return expanded
