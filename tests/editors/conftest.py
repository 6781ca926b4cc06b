"""What tests of several editors read: a tiny model, and the records of one kind."""

from pathlib import Path

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, EditCase


@pytest.fixture(scope="module")
def backbone() -> ComposedBackbone:
    made: ComposedBackbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    return made


@pytest.fixture
def train(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-entity", data=small_data).load("train", hop=1, switches=STRICT).cases


@pytest.fixture
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-entity", data=small_data).load("eval", hop=1, switches=STRICT).cases
