"""What can be fetched, by name."""

from pathlib import Path

import pytest

from mmke import fetching, registry
from mmke.backbones.weights.fetch import BACKBONES
from mmke.backbones.weights.locations import FOLDER
from mmke.errors import UserError


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
    monkeypatch.setattr("mmke.backbones.weights.fetch.fetch_weights", lambda _, to: to)
    assert fetching.fetch(name, None) == to
    assert fetching.WEIGHTS_FOLDER == FOLDER
    assert fetching.fetch(name, Path("there")) == Path("there")


def test_small_models_are_there_already() -> None:
    with pytest.raises(UserError, match="smol-llava needs nothing from the hub: mmke run"):
        fetching.fetch("smol-llava", None)


@pytest.mark.parametrize("name", ["hf:", "hf: ", "hf:/data/model", "hf:../model", "hf:a b", "hf:a/b/c"])
def test_what_is_no_name_on_the_hub_is_told_without_the_hub(name: str) -> None:
    with pytest.raises(UserError, match=r"is no name on the hub, such as hf:org/model; a folder needs no fetching"):
        fetching.fetch(name, None)


@pytest.mark.parametrize("kind", ["a file", "within a file", "a link to nowhere"])
@pytest.mark.parametrize("name", ["mmke", "llava-1.5-7b", "hf:org/model"])
def test_a_place_that_is_no_folder_is_told_before_the_network_is_asked(name: str, kind: str, tmp_path: Path) -> None:
    to = file = tmp_path / "there"
    if kind == "a link to nowhere":
        to.symlink_to(tmp_path / "nowhere")
    else:
        file.touch()
        to = file / "deeper" if kind == "within a file" else file
    with pytest.raises(UserError, match=rf"--to {to}: {file} is no folder that can be written to; choose another --to"):
        fetching.fetch(name, to)
