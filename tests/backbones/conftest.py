"""A hub of random models, and a picture to show them."""

import hashlib

import pytest
from hf_hub import Hub
from PIL import Image

from mmke.types import ImageRef


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return Hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> ImageRef:
    path = tmp_path_factory.mktemp("pictures") / "wide.png"
    red = Image.linear_gradient("L").resize((100, 60))
    Image.merge("RGB", (red, red.rotate(90).resize((100, 60)), red)).save(path)
    return ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest())
