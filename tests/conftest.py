"""Shared by all tests: one thread, no network, and a small data set of all three kinds in the published format."""

import json
import os
from pathlib import Path

import pytest

from small_records import SHAPES, draw_picture, entity, user, visual

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `--data` folder: four training and four evaluation records of each kind."""
    root = tmp_path_factory.mktemp("data")
    (root / "data_json").mkdir()
    (root / "data_image").mkdir()
    for colour in SHAPES:
        draw_picture(root / "data_image" / f"{colour}.png", colour)
    for kind, record in (("entity", entity), ("visual", visual), ("user", user)):
        for split, begin in (("train", 0), ("eval", 2)):
            records = [record(i) for i in range(begin, begin + 4)]
            (root / "data_json" / f"{kind}_{split}.json").write_text(json.dumps(records))
    return root
