"""The four-layer models, one at a time, as the sides of a comparison load them."""

import pytest

from grid import first_quick
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.running.loading import load
from mmke.running.request import Request


@pytest.fixture(scope="package", params=first_quick(["tiny-llava", "tiny-minigpt4", "tiny-blip2"]))
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    loaded = load(Request(request.param, None, ()))
    assert isinstance(loaded, ComposedBackbone)
    return loaded
