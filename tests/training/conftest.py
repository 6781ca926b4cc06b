"""A short training of MEND on a tiny backbone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.training.train import TrainRequest
from small_records import user

PICTURED = ("image", "image_rephrase", "one_hop_img")
SHORT = {"rank": 4, "rate": 1e-3, "steps": 12, "validate_every": 4, "validation_records": 1, "patience": 100}


@pytest.fixture(scope="session")
def apart(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `--data` folder whose six training records share no picture of what is edited."""
    root = tmp_path_factory.mktemp("apart")
    for folder in ("data_json", "data_image"):
        shutil.copytree(small_data / folder, root / folder)
    records = [user(number) for number in range(6)]
    for number, record in enumerate(records):
        for field in PICTURED:
            picture = Image.open(root / "data_image" / record[field])
            picture.putpixel((0, 0), (number, number, number))
            record[field] = f"{number}-{field}.png"
            picture.save(root / "data_image" / record[field])
    (root / "data_json" / "user_train.json").write_text(json.dumps(records))
    return root


@pytest.fixture
def asked(apart: Path, tmp_path: Path) -> Callable[..., TrainRequest]:
    def ask(**changes: Any) -> TrainRequest:
        settings = {**SHORT, **changes.pop("changes", {})}
        values = {"editor": "mend", "backbone": "tiny-llava", "benchmarks": ("mmke-user",), "out": tmp_path / "out"}
        return TrainRequest(**{**values, "data": apart, **changes}, changes=settings)

    return ask
