"""Short trainings on a tiny backbone: of MEND, and of each editor that is trained."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmke.testing.records import user
from mmke.training.train import TrainRequest

PICTURED = ("image", "image_rephrase", "one_hop_img")
COMMON = {"steps": 12, "gradient_accumulation_steps": 2, "validate_every": 4, "validation_records": 1}
SHORT: Mapping[str, Mapping[str, Any]] = {
    "mend": {**COMMON, "rank": 4, "learning_rate": 1e-3, "patience": 100},
    "serac": {**COMMON, "rank": 2, "learning_rate": 1e-3, "scope_learning_rate": 1e-3, "negatives": 2, "patience": 100},
    "mscke": {
        **COMMON,
        "rank": 2,
        "head": 8,
        "learning_rate": 1e-3,
        "scope_learning_rate": 1e-3,
        "patience": 100,
    },
    "ke": {**COMMON, "lstm": 8, "condition": 16, "conditioner": 8, "warm_up": 3, "learning_rate": 1e-3},
}
"""Settings by editor."""


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
        settings = {**SHORT.get(changes.get("editor", "mend"), SHORT["mend"]), **changes.pop("changes", {})}
        values = {"editor": "mend", "backbone": "tiny-llava", "benchmarks": ("mmke-user",), "out": tmp_path / "out"}
        return TrainRequest(**{**values, "data": apart, **changes}, changes=settings)

    return ask
