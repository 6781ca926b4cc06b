"""What is sent to the hub, and what is told where nothing can be sent. Nothing here reaches a network."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from kit import make_project

from mmke.build.export.export import export
from mmke.build.export.hub import push
from mmke.build.project import open_project
from mmke.errors import UserError


class StubApi:
    """Takes what is sent, and can refuse it."""

    def __init__(self, *, token: str | None = "token", error: Exception | None = None) -> None:  # noqa: S107
        self.token, self.error = token, error
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[dict[str, Any]] = []

    def create_repo(self, repo: str, **more: Any) -> None:
        self.made.append((repo, more))

    def upload_folder(self, **more: Any) -> object:
        if self.error is not None:
            raise self.error
        self.sent.append(more)
        return SimpleNamespace(commit_url="https://hub.example/commit/1")


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    with open_project(make_project(folder / "project")) as project:
        export(project, folder / "out", unverified=True, names=False)
    return folder / "out"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)


@pytest.mark.usefixtures("online")
def test_an_export_is_sent_as_a_data_set_once_it_is_told_to(out: Path) -> None:
    api = StubApi()
    files = len([file for file in out.rglob("*") if file.is_file()])
    told = push(out, "me/birds", yes=False, api=api)
    assert told.startswith(f"it would send {files} files (0.")
    assert told.endswith("to huggingface.co/datasets/me/birds; add --yes to send it")
    assert (api.made, api.sent) == ([], [])
    sent = push(out, "me/birds", yes=True, private=True, api=api)
    assert sent.endswith("datasets/me/birds (private): https://hub.example/commit/1")
    assert api.made == [("me/birds", {"repo_type": "dataset", "private": True, "exist_ok": True})]
    assert [(each["repo_id"], each["repo_type"], each["folder_path"]) for each in api.sent] == [
        ("me/birds", "dataset", out)
    ]


@pytest.mark.usefixtures("online")
def test_without_a_token_it_says_what_is_missing(out: Path) -> None:
    api = StubApi(token=None)
    told = push(out, "me/birds", yes=True, api=api)
    assert told.startswith(
        "nothing was sent: there is no token of the hub (hf auth login, or HF_TOKEN). It would send "
    )
    assert api.sent == []


def test_offline_it_says_what_it_would_do(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    api = StubApi()
    told = push(out, "me/birds", yes=True, api=api)
    assert told.startswith("nothing was sent: HF_HUB_OFFLINE is set. It would send ")
    assert api.sent == []


@pytest.mark.usefixtures("online")
def test_what_goes_wrong_is_one_line(out: Path, tmp_path: Path) -> None:
    refused = StubApi(error=OSError("no\nroute"))
    with pytest.raises(UserError, match=r"--hub me/birds: no route; nothing, or not all, was sent"):
        push(out, "me/birds", yes=True, api=refused)
    network = HfHubHTTPError.__bases__[0]
    with pytest.raises(UserError, match="the line is dead"):
        push(out, "me/birds", yes=True, api=StubApi(error=network("the line is dead")))
    with pytest.raises(UserError, match="--hub birds/of/prey: "):
        push(out, "birds/of/prey", yes=True, api=StubApi())
    with pytest.raises(UserError, match=r"is no export: it has no manifest.json"):
        push(tmp_path, "me/birds", yes=True, api=StubApi())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something that no export wrote"):
        push(tmp_path, "me/birds", yes=True, api=StubApi())
