"""What `mmke push` sends of an edit, and what its card says. Nothing reaches a network."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub import constants

import mmke
from mmke import cli
from mmke.testing.records import draw_picture


class StubApi:
    """Takes what is sent, and keeps what was in it."""

    token = "a token"  # noqa: S105

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []
        self.sent: dict[str, bytes] = {}

    def create_repo(self, repo: str, *, repo_type: str, **more: Any) -> None:
        self.made.append((repo, repo_type))

    def upload_folder(self, *, repo_type: str, folder_path: Path, **more: Any) -> object:
        assert repo_type == "model"
        files = [file for file in folder_path.rglob("*") if file.is_file()]
        self.sent = {file.relative_to(folder_path).as_posix(): file.read_bytes() for file in files}
        return SimpleNamespace(commit_url="https://hub.example/commit/1")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> StubApi:
    stub = StubApi()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stub)
    return stub


@pytest.fixture
def edit(tmp_path: Path) -> Path:
    draw_picture(tmp_path / "flag.png", "red")
    backbone = mmke.load_backbone("tiny-llava")
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", steps=1)
    with editor.open(backbone, mmke.store()) as session:
        query = mmke.Query("Which <b>flag</b>?", mmke.picture(tmp_path / "flag.png"))
        session.apply([mmke.Edit(query, "[Peru](http://x)")])
        session.save(tmp_path / "mine", embed_pictures=True)
    (tmp_path / "mine" / "notes.txt").write_text("private")
    return tmp_path / "mine"


def test_the_edits_own_files_and_a_card_are_sent(edit: Path, api: StubApi, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["push", str(edit), "--hub", "org/peru"]
    assert cli.main(words) == 0
    assert "it would send 4 files" in capsys.readouterr().out
    assert not api.sent
    assert cli.main([*words, "--yes"]) == 0
    picture = next((edit / "pictures").iterdir()).name
    assert set(api.sent) == {"README.md", "edit.json", "tensors.safetensors", f"pictures/{picture}"}
    assert api.made == [("org/peru", "model")]
    card = api.sent["README.md"].decode()
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "mmke"
    assert "1. Which \\<b\\>flag\\</b\\>?" in card
    assert "\\[Peru\\](http://x)" in card
    assert "ft-llm" in card
    assert str(edit.parent) not in card


def test_a_broken_edit_is_not_sent(edit: Path, api: StubApi, capsys: pytest.CaptureFixture[str]) -> None:
    (edit / "tensors.safetensors").write_bytes(b"x")
    assert cli.main(["push", str(edit), "--hub", "org/peru", "--yes"]) == 2
    assert "this edit is broken" in capsys.readouterr().err
    assert not api.sent
