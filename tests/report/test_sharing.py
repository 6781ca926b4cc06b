"""What `mmke push` sends, what its card says, and that nothing is sent without a yes. Nothing reaches a network."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub import constants

from mmke import cli
from mmke.errors import UserError
from mmke.report.sharing.parcel import parcel_of
from mmke.results.run_json import RUN

WriteRun = Callable[..., Path]


class StubApi:
    """Takes what is sent, and keeps what was in it."""

    token = "a token"  # noqa: S105
    made: list[str]
    sent: list[tuple[str, dict[str, str]]]

    def create_repo(self, repo: str, **more: Any) -> None:
        self.made.append(repo)

    def upload_folder(self, *, repo_id: str, folder_path: Path, **more: Any) -> object:
        files = {file.relative_to(folder_path).as_posix(): file.read_text() for file in folder_path.rglob("*.*")}
        self.sent.append((repo_id, files))
        return SimpleNamespace(commit_url="https://hub.example/commit/1")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> StubApi:
    stub = StubApi()
    stub.made, stub.sent = [], []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: stub)
    return stub


@pytest.fixture
def folder(tmp_path: Path, row: Callable[..., Any], write_run: WriteRun) -> Path:
    for editor in ("none", "ft-llm"):
        run = write_run([[row("i_rel", 0.5, 0.25)]], editor=editor)
    (run / "session").mkdir()
    (run / "session" / "weights.safetensors").write_bytes(b"large")
    (run / "rows.jsonl.void").write_text("void")
    (tmp_path / "notes.md").write_text("private")
    return tmp_path


def test_only_the_files_of_runs_and_a_card_are_sent(folder: Path, api: StubApi) -> None:
    assert cli.main(["push", str(folder), "--hub", "me/results", "--yes"]) == 0
    ((repo, files),) = api.sent
    assert (api.made, repo) == (["me/results"], "me/results")
    assert {Path(name).name for name in files} == {
        *("README.md", RUN, "rows.jsonl", "answers.jsonl", "cases.jsonl", "timings.jsonl")
    }
    assert not any("session" in name for name in files)
    assert files["smol-llava/mini-entity/hop1/strict/seed0/ft-llm/rows.jsonl"].count("\n") == 1


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    with parcel_of(folder, "me/results", private=False) as parcel:
        _, header, text = (parcel.folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_card_has_the_tables_and_how_they_were_made(folder: Path) -> None:
    header, text = card_of(folder)
    assert {each["config_name"]: each["data_files"] for each in header["configs"]}["rows"] == "**/rows.jsonl"
    assert "license" not in header  # nobody but the user knows it
    assert "| ft-llm | – | – | – | 50.0 |" in text
    assert "* device: a processor" in text
    assert "* commit: not known" in text
    assert "* data revision: d\n" in text
    assert "* locality match: top1" in text


def test_where_editors_differ_in_the_protocol_it_says_who_has_what(folder: Path) -> None:
    file = next(folder.rglob(f"ft-llm/{RUN}"))
    run = json.loads(file.read_text())
    run["switches"]["labels"] = "alone"
    run["settings"] = {"steps": 3, "sites": ["a|b"]}
    file.write_text(json.dumps(run))
    _, text = card_of(folder)
    assert "* labels: alone (ft-llm); joint (none)" in text
    assert r"| steps = 3, sites = ['a\|b'] | 1 |" in text


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 1), ("\n", 0), ("n\n", 0), ("", 0)])
def test_on_a_terminal_it_shows_what_would_be_sent_and_asks(
    folder: Path,
    api: StubApi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    sent: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    assert cli.main(["push", str(folder), "--hub", "me/results", "--private"]) == 0
    out, err = capsys.readouterr()
    assert "send 11 files (0.0 MB)" in err
    assert "datasets/me/results (private), with the commands and paths as they were typed? [y/N]" in err
    assert len(api.sent) == sent
    assert ("nothing was sent" in out) == (not sent)


def test_without_a_terminal_nothing_is_sent_without_yes(
    folder: Path, api: StubApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert cli.main(["push", str(folder), "--hub", "me/results"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("huggingface.co/datasets/me/results; add --yes to send it")
    assert api.sent == []


def test_offline_it_says_what_it_would_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", str(folder), "--hub", "me/results", "--yes"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("nothing was sent: HF_HUB_OFFLINE is set. It would send 11 files")


def test_mistakes_are_one_line(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", str(folder), "--hub", "a/b/c"]) == 2
    assert capsys.readouterr().err.startswith("mmke: --hub a/b/c: ")
    (tmp_path / "empty").mkdir()
    with (
        pytest.raises(UserError, match="there are no results below"),
        parcel_of(tmp_path / "empty", "me/x", private=False),
    ):
        pass
