"""What can be fetched, by name."""

from pathlib import Path

import pytest

from mmke import fetching, registry
from mmke.backbones.checkpoints.fetch import BACKBONES
from mmke.types import UserError


def test_an_unknown_name_gets_the_nearest_match() -> None:
    told = (
        r"nothing to fetch is called 'lava-1.5-7b'; did you mean 'llava-1.5-7b'\? "
        r"\(there is: mmke, llava-1.5-7b, minigpt4-7b, blip2-opt-2.7b, hf:NAME\)"
    )
    with pytest.raises(UserError, match=told):
        fetching.fetch("lava-1.5-7b", None)


def test_every_backbone_that_can_be_fetched_is_one() -> None:
    assert set(fetching.WEIGHTS) == set(BACKBONES) <= set(registry.names("backbones"))


@pytest.mark.parametrize(("name", "to"), [("mmke", Path()), ("llava-1.5-7b", Path("hugging_cache"))])
def test_data_come_here_and_weights_where_they_are_looked_for(
    name: str, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.benchmarks.fetch.fetch_mmke", lambda to: to)
    monkeypatch.setattr("mmke.backbones.checkpoints.fetch.fetch_weights", lambda _, to: to)
    assert fetching.fetch(name, None) == to
    assert fetching.fetch(name, Path("there")) == Path("there")
