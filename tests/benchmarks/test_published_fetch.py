"""Fetching the published data: what it says before, what it brings, and what it says when it cannot."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.hf_api import DatasetInfo

from mmke import downloads as module
from mmke.benchmarks.fetch import fetch_mmke
from mmke.errors import UserError

FILES = {"README.md": 10, "data_json/entity_eval.json": 2_000_000, "data_image/entity/a.jpg": 3_000_000}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Put a made-up hub in the place of the real one; returns the list of downloads that were asked for."""

    def install(
        *, listing: Exception | None = None, download: Exception | None = None, arrive: int | None = None
    ) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def dataset_info(_: Any, repo: str, *, revision: str | None, files_metadata: bool) -> DatasetInfo:
            if listing:
                raise listing
            siblings = [{"rfilename": name, "size": size} for name, size in FILES.items()]
            return DatasetInfo(id=repo, sha="abc", siblings=siblings)

        def snapshot_download(repo: str, **options: Any) -> None:
            asked.append({"repo": repo, **options})
            if download:
                raise download
            for name in list(FILES)[1:][:arrive]:
                file = Path(options["local_dir"]) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("wb") as opened:
                    opened.truncate(FILES[name])

        monkeypatch.setattr(module.HfApi, "dataset_info", dataset_info)
        monkeypatch.setattr(module, "snapshot_download", snapshot_download)
        return asked

    return install


def test_the_two_folders_of_the_listed_revision_are_downloaded(hub: Any, tmp_path: Path) -> None:
    asked = hub()
    assert fetch_mmke(tmp_path / "new") == tmp_path / "new"
    (options,) = asked
    assert (options["repo"], options["repo_type"]) == ("kailinjiang/MMKE-Bench-dataset", "dataset")
    assert (options["revision"], options["local_dir"]) == ("abc", tmp_path / "new")
    assert options["allow_patterns"] == ["data_json/*", "data_image/*"]


def test_size_and_place_are_told_first(hub: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub()
    with caplog.at_level(logging.INFO):
        fetch_mmke(tmp_path)
    assert f"downloading 2 of 2 files, 5 MB, into {tmp_path}" in caplog.messages[0]


def test_what_is_there_already_is_not_counted_again(hub: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub(arrive=1)
    with pytest.raises(UserError):
        fetch_mmke(tmp_path)
    caplog.clear()  # of the first fetch, where another test has let the program speak
    with caplog.at_level(logging.INFO), pytest.raises(UserError):
        fetch_mmke(tmp_path)
    assert "downloading 1 of 2 files, 3 MB" in caplog.messages[0]


def test_files_that_did_not_arrive_are_told_with_the_way_on(hub: Any, tmp_path: Path) -> None:
    hub(arrive=1)
    with pytest.raises(UserError, match=r"1 of 2 files did not arrive .*data_image/entity/a.jpg.*same command again"):
        fetch_mmke(tmp_path)


@pytest.mark.parametrize(
    "failure",
    [OfflineModeIsEnabled("offline mode is on"), HTTPError("no route"), LocalEntryNotFoundError("no such snapshot")],
    ids=["offline", "no connection", "nothing cached"],
)
@pytest.mark.parametrize("when", ["listing", "download"])
def test_without_a_network_it_says_what_to_do_by_hand(failure: Exception, when: str, hub: Any, tmp_path: Path) -> None:
    hub(**{when: failure})
    with pytest.raises(UserError) as caught:
        fetch_mmke(tmp_path)
    text = str(caught.value)
    assert str(failure) in text
    assert "HF_HUB_OFFLINE" in text
    assert str(tmp_path / "data_json") in text
    assert str(tmp_path / "data_image") in text


def test_offline_mode_of_the_real_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot download the hub's dataset kailinjiang/MMKE-Bench-dataset"):
        fetch_mmke(tmp_path)


def test_a_disk_that_is_too_small_stops_it_before_the_download(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = hub()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4_000_000))
    with pytest.raises(UserError, match="has 4 MB free and the data need 5 MB; give another --to"):
        fetch_mmke(tmp_path)
    assert asked == []
