"""Fixtures of the contracts: a backbone at a time, a store, and the probes of a few small records."""

from pathlib import Path

import pytest
from contract_kit import HUB, TINY, load

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, EditCase


@pytest.fixture(scope="session", params=[*TINY, *HUB])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ComposedBackbone:
    if request.param in TINY:
        return load(request.param)
    folder = tmp_path_factory.mktemp(request.param.replace(":", "-"))
    HUB[request.param](folder)
    return load(f"hf:{folder}")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases


@pytest.fixture(scope="session")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("eval", hop=1, switches=STRICT).cases
