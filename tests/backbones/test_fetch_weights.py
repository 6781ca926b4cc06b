"""Fetching weights: what is asked for, what it says before and after, and what to do by hand."""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.hf_api import ModelInfo
from lavis_layout import write_eva, write_trained
from layouts import blip2, llava, minigpt4, model_folder, part, renamed, write_shards

from mmke import downloads
from mmke.backbones.weights import fetch as fetching
from mmke.backbones.weights import lavis as lavis_weights
from mmke.backbones.weights.fetch import fetch_weights
from mmke.errors import UserError
from mmke.pins import PINS, Pin

Hub = Callable[[Mapping[str, Path]], list[dict[str, Any]]]


def described(file: Path) -> dict[str, Any]:
    """Describe a file as the hub does: small ones by git's digest, others by that of their bytes."""
    content, size = file.read_bytes(), file.stat().st_size
    git = hashlib.sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest()
    plain: dict[str, Any] = {"rfilename": file.name, "size": size, "blobId": git}
    if file.suffix in (".safetensors", ".bin", ".pth"):
        digest = hashlib.sha256(content).hexdigest()
        plain |= {"blobId": "of the pointer", "lfs": {"size": size, "sha256": digest, "pointerSize": 130}}
    return plain


@pytest.fixture(autouse=True)
def pins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Pin]:
    """The published revisions without their digests, which the models of these tests have not."""
    own = {name: Pin(pin.revision) for name, pin in PINS.items()}
    monkeypatch.setattr(downloads, "PINS", own)
    return own


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Put folders in the place of the hub's repositories; returns the downloads that were asked for."""

    def install(repositories: Mapping[str, Path]) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def model_info(_: Any, name: str, *, revision: str | None, files_metadata: bool) -> ModelInfo:
            files = [file for file in sorted(repositories[name].iterdir()) if file.is_file()]
            return ModelInfo(id=name, sha=revision or "abc", siblings=[described(file) for file in files])

        def snapshot_download(name: str, **options: Any) -> None:
            asked.append({"name": name, **options})
            options["local_dir"].mkdir(parents=True, exist_ok=True)
            for file in options["allow_patterns"]:
                shutil.copy(repositories[name] / file, options["local_dir"])

        monkeypatch.setattr(downloads.HfApi, "model_info", model_info)
        monkeypatch.setattr(downloads, "snapshot_download", snapshot_download)
        return asked

    return install


def write_both_kinds(folder: Path, model: Any, config: Mapping[str, Any]) -> Path:
    """Write a repository as the hub has them: two kinds of weights, configuration, tokenizer, and more."""
    model_folder(folder, config)
    write_shards(folder, model.state_dict(), kind="safetensors")
    write_shards(folder, model.state_dict(), kind="bin")
    for name in ("README.md", "flax_model.msgpack", "consolidated.safetensors", "merges.txt"):
        (folder / name).write_text("x")
    return folder


@pytest.mark.parametrize(
    ("name", "repository", "build", "config"),
    [
        (
            "llava-1.5-7b",
            "llava-hf/llava-1.5-7b-hf",
            llava,
            {"model_type": "llava", "text_config": {}},
        ),
        ("blip2-opt-2.7b", "Salesforce/blip2-opt-2.7b", blip2, {"model_type": "blip-2"}),
    ],
)
def test_a_converted_model_comes_in_one_kind_of_file_and_is_found(
    name: str, repository: str, build: Any, config: Any, hub: Hub, tmp_path: Path
) -> None:
    source = write_both_kinds(tmp_path / "source", build(), config)
    asked = hub({repository: source})
    assert fetch_weights(name, tmp_path / "to") == tmp_path / "to"
    (options,) = asked
    assert (options["name"], options["revision"]) == (repository, PINS[repository].revision)
    assert options["local_dir"] == tmp_path / "to" / repository.rpartition("/")[2]
    wanted = set(options["allow_patterns"])
    assert {"config.json", "tokenizer.json", "merges.txt", "model-00001-of-00002.safetensors"} <= wanted
    assert not {file for file in wanted if file.endswith((".bin", ".md", ".msgpack"))}
    assert not wanted & {"pytorch_model.bin.index.json", "consolidated.safetensors"}


def write_minigpt4(root: Path) -> Mapping[str, Path]:
    """Write what MiniGPT-4's parts come from; returns the repositories among it."""
    model = minigpt4()
    vicuna = model_folder(root / "vicuna", {"model_type": "llama"})
    write_shards(vicuna, renamed(part(model, "language_model."), {r"language_model\.(.+)": r"\1"}))
    write_eva(root, model)
    write_trained(root / "blip2_pretrained_flant5xxl.pth", model, {"t5_proj.weight": torch.ones(4, 4)})
    torch.save({"model": {"llama_proj.weight": torch.ones(32, 32)}}, root / "linear.pth")
    return {"Vision-CAIR/vicuna-7b": vicuna}


@pytest.fixture
def lavis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder in the place of LAVIS's storage and of the authors' drive."""
    (tmp_path / "lavis").mkdir()
    monkeypatch.setattr(fetching, "LINEAR", (tmp_path / "lavis" / "linear.pth").as_uri())
    monkeypatch.setattr(lavis_weights, "URL", f"{(tmp_path / 'lavis').as_uri()}/")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path / "lavis"


def test_minigpt4_comes_in_its_parts_from_their_authors(
    lavis: Path, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = hub(write_minigpt4(lavis))
    to = tmp_path / "to"
    with caplog.at_level(logging.INFO):
        fetch_weights("minigpt4-7b", to)
    assert {path.name for path in to.iterdir()} == {
        "vicuna-7b",
        "eva_vit_g.pth",
        "blip2_pretrained_flant5xxl.pth",
        "pretrained_minigpt4_7b.pth",
    }
    assert [options["local_dir"] for options in asked] == [to / "vicuna-7b"]
    assert f"next: mmke run --backbone minigpt4-7b --weights {to}" in caplog.messages[-1]


def test_a_layer_that_is_there_is_not_fetched(lavis: Path, hub: Hub, tmp_path: Path) -> None:
    repositories = write_minigpt4(lavis)
    asked = hub(repositories)
    (tmp_path / "to").mkdir()
    (lavis / "linear.pth").rename(tmp_path / "to" / "prerained_minigpt4_7b.pth")
    fetch_weights("minigpt4-7b", tmp_path / "to")
    assert [options["name"] for options in asked] == ["Vision-CAIR/vicuna-7b"]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("llava-1.5-7b", ["llava-hf/llava-1.5-7b-hf", "llava-1.5-7b-hf"]),
        ("blip2-opt-2.7b", ["Salesforce/blip2-opt-2.7b", "blip2-opt-2.7b"]),
        (
            "minigpt4-7b",
            [
                "Vision-CAIR/vicuna-7b",
                "vicuna-7b",
                "eva_vit_g.pth",
                "blip2_pretrained_flant5xxl.pth",
                "LAVIS/models/BLIP2/",
                "drive.google.com",
                "pretrained_minigpt4_7b.pth",
            ],
        ),
        ("hf:org/model", ["org/model"]),
    ],
)
def test_offline_it_says_which_files_go_where(
    name: str, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=f"cannot download {name}: ") as caught:
        fetch_weights(name, tmp_path)
    told = str(caught.value)
    assert str(tmp_path) in told
    assert "unset it" in told
    assert all(file in told for file in files)


def test_a_connection_that_breaks_keeps_what_arrived(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub({"llava-hf/llava-1.5-7b-hf": write_both_kinds(tmp_path / "source", llava(), {})})

    def broken(*_: Any, **__: Any) -> None:
        raise OfflineModeIsEnabled("the line went dead")

    monkeypatch.setattr(downloads, "snapshot_download", broken)
    with pytest.raises(UserError, match=r"the line went dead\nWhat arrived is kept, and the same command goes on"):
        fetch_weights("llava-1.5-7b", tmp_path / "to")


def test_a_disk_that_is_too_small_stops_it_first(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub({"llava-hf/llava-1.5-7b-hf": write_both_kinds(tmp_path / "source", llava(), {})})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 9}))
    with pytest.raises(UserError, match="has 0 MB free"):
        fetch_weights("llava-1.5-7b", tmp_path / "to")
    assert asked == []


def test_any_model_of_the_hub_comes_below_its_name(hub: Hub, tmp_path: Path) -> None:
    hub({"org/model": write_both_kinds(tmp_path / "source", llava(), {"model_type": "any"})})
    assert fetch_weights("hf:org/model", tmp_path / "to") == tmp_path / "to" / "org" / "model"
    assert json.loads((tmp_path / "to/org/model/config.json").read_text()) == {"model_type": "any"}


def test_a_name_that_the_hub_cannot_have_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot download hf:a/b/c: "):
        fetch_weights("hf:a/b/c", tmp_path)


def test_what_arrives_with_other_bytes_is_told_and_not_left_under_its_name(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub({"org/model": write_both_kinds(tmp_path / "source", llava(), {"model_type": "any"})})
    whole = downloads.snapshot_download
    for name in ("model-00001-of-00002.safetensors", "config.json"):

        def spoil(repository: str, name: str = name, **options: Any) -> None:
            whole(repository, **options)
            file = options["local_dir"] / name
            content = bytearray(file.read_bytes())
            content[-2] ^= 1
            file.write_bytes(content)

        monkeypatch.setattr(downloads, "snapshot_download", spoil)
        to = tmp_path / name
        with pytest.raises(UserError, match=rf"1 of \d+ files in .* first 'org/model/{name}'; each is now called"):
            fetch_weights("hf:org/model", to)
        assert not (to / "org" / "model" / name).exists()
        monkeypatch.setattr(downloads, "snapshot_download", whole)
        fetch_weights("hf:org/model", to)


def test_another_file_at_a_pinned_revision_is_not_downloaded(
    hub: Hub, pins: dict[str, Pin], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "model-00001-of-00002.safetensors"
    asked = hub({"org/model": write_both_kinds(tmp_path / "source", llava(), {"model_type": "any"})})
    pins["org/model"] = Pin("abc", {name: "0" * 64})
    with pytest.raises(UserError, match=rf"offers another {name} \(sha256 \w+\) than the one that was tried"):
        fetch_weights("hf:org/model", tmp_path / "to")
    assert asked == []
    pins["org/model"] = Pin(None, {name: "0" * 64})
    fetch_weights("hf:org/model", tmp_path / "to")
    assert f"offers another {name}" in caplog.text


def test_every_pin_is_a_commit_and_names_digests() -> None:
    for pin in PINS.values():
        assert pin.revision is None or re.fullmatch(r"[0-9a-f]{40}", pin.revision)
        assert pin.revision is not None or pin.sha256
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in pin.sha256.values())
