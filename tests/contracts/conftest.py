"""Every backbone and editor of the registry that needs no download, with the probes of one small record."""

from pathlib import Path

import pytest
import torch

from mmke import registry
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editors.settings import resolve
from mmke.protocols import Backbone, Editor
from mmke.types import STRICT, EditCase, Switches

TINY = [name for name in registry.names("backbones") if name.startswith("tiny-")]
EDITORS = list(registry.names("editors"))


@pytest.fixture(scope="session", params=TINY)
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return load(request.param)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("train", hop=0, switches=STRICT).cases


@pytest.fixture(scope="session")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=small_data).load("eval", hop=1, switches=STRICT).cases


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


def make_editor(
    name: str, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches = STRICT, **changes: object
) -> Editor:
    """Make a registered editor with few steps and demonstrations, so that the tests stay quick."""
    values = resolve(name, backbone.name, {})
    quick = {key: value for key, value in {"steps": 4, "demonstrations": 3}.items() if key in values}
    return registry.factory("editors", name)({**values, **quick, **changes}, switches, train=train, seed=0)
