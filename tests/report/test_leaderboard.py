"""A run is ranked when it passes every check, and each reason why one is not stands beside it."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmke import cli
from mmke.errors import UserError
from mmke.report.leaderboard.boards import Board, make_boards
from mmke.report.leaderboard.checks import CHECKS
from mmke.report.leaderboard.entries import read_entries
from mmke.report.leaderboard.page import as_page
from mmke.report.leaderboard.render import as_json, as_markdown
from mmke.results.run_json import RUN

Score = Callable[..., Any]
CLEAN = {"sha": "0123456789abcdef", "dirty": False}


@pytest.fixture
def add(tmp_path: Path, row: Score, write_run: Callable[..., Path]) -> Callable[..., Path]:
    """Write a run of two records, and change what its run.json says."""

    def write(out: str, editor: str, value: float = 0.5, records: int = 2, **changes: Any) -> Path:
        about = {name: changes.pop(name) for name in ("protocol", "benchmark", "seed", "backbone") if name in changes}
        rows = [[row("i_rel", value, 0.25), row("t_loc", 1.0)] for _ in range(records)]
        folder = write_run(rows, out=tmp_path / out, editor=editor, **about)
        run = json.loads((folder / RUN).read_text())
        run["records"]["available"] = changes.pop("available", 2)
        run["records"]["trained_on"] = changes.pop("trained_on", 0)
        run["history"][-1]["commit"] = changes.pop("commit", CLEAN)
        (folder / RUN).write_text(json.dumps({**run, **changes}))
        return tmp_path / out

    return write


def board_of(*folders: Path, protocol: str = "strict", by: str = "i_rel") -> Board:
    (board,) = make_boards(read_entries(folders), protocol=protocol, by=by)
    return board


def why(board: Board) -> dict[str, dict[str, str]]:
    return {f"{row.entry.source}:{row.entry.cell.editor}": dict(row.failed) for row in board.unranked}


def test_complete_runs_of_several_folders_are_ranked_best_first(add: Callable[..., Path]) -> None:
    for name, value in (("a", 0.5), ("b", 0.75)):
        add(name, "none", 0.25)
        folder = add(name, "ft-llm", value)
    board = board_of(folder.parent / "a", folder.parent / "b")
    assert [(row.place, row.entry.source) for row in board.ranked if row.place] == [(1, "b"), (2, "a")]
    assert [row.entry.cell.editor for row in board.ranked] == ["ft-llm", "ft-llm", "none", "none"]
    assert board.unranked == []


@pytest.mark.parametrize(
    ("check", "change", "reason"),
    [
        ("complete", {"records": 1}, r"1 of 2 records: run it with --limit 0"),
        ("clean commit", {"commit": {"sha": "a" * 40, "dirty": True}}, r"changes that were not committed"),
        ("same data", {"data_revision": "e" * 64}, r"revision eeeeeeeeeeee, not d"),
        ("same protocol", {"probes": "hard"}, r"was not asked the published questions"),
        ("held out", {"trained_on": 2}, r"was trained on 2 of these records"),
    ],
)
def test_what_does_not_pass_a_check_is_not_ranked_and_says_why(
    add: Callable[..., Path], check: str, change: dict[str, Any], reason: str
) -> None:
    for editor in ("none", "ike"):
        add("a", editor)
    board = board_of(add("a", "ft-llm", 0.9, **change))
    assert [row.entry.cell.editor for row in board.ranked] == ["ike", "none"]
    found = why(board)["a:ft-llm"]
    assert re.search(reason, found[check])


def test_a_run_without_its_floor_is_not_ranked(add: Callable[..., Path]) -> None:
    add("a", "none")
    assert list(why(board_of(add("a", "ike").parent / "a", add("b", "ike")))["b:ike"]) == ["floor"]


def test_a_floor_of_fewer_records_is_none(add: Callable[..., Path]) -> None:
    add("a", "none", records=1)
    assert "floor" in why(board_of(add("a", "ike")))["a:ike"]


def test_another_protocol_has_a_board_of_its_own(add: Callable[..., Path]) -> None:
    for protocol in ("strict", "paper"):
        for editor in ("none", "ike"):
            folder = add("a", editor, protocol=protocol)
    for protocol, other in (("strict", "paper"), ("paper", "strict")):
        board = board_of(folder, protocol=protocol)
        assert {row.entry.cell.protocol for row in board.ranked} == {protocol}
        assert set(why(board)["a:ike"].values()) == {f"protocol {other}; this board is {protocol}"}


def test_a_folder_that_does_not_say_how_many_records_there_are_takes_it_from_the_others(
    add: Callable[..., Path],
) -> None:
    add("a", "none")
    assert board_of(add("a", "ike", available=None)).unranked == []
    add("b", "none", available=None)
    assert "does not say how many records" in why(board_of(add("b", "ike", available=None)))["b:ike"]["complete"]


def test_an_installed_version_is_as_good_as_a_commit_and_two_are_not(add: Callable[..., Path]) -> None:
    add("a", "none", commit=None)
    folder = add("a", "ike", commit=None)
    board = board_of(folder)
    assert [row.code for row in board.ranked] == [f"version {_version(board)}"] * 2
    run = next(folder.rglob(f"ike/{RUN}"))
    plain = json.loads(run.read_text())
    plain["history"].append({**plain["history"][-1], "commit": CLEAN})
    run.write_text(json.dumps(plain))
    assert "made by several versions: 0123456789, version" in why(board_of(folder))["a:ike"]["clean commit"]


def _version(board: Board) -> str:
    return str(board.ranked[0].entry.run["history"][-1]["versions"]["mmke"])


def test_a_column_that_there_is_not_is_told(add: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"--by i_relly: no such column; did you mean 'i_rel'\?"):
        board_of(add("a", "ike"), by="i_relly")


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_runs_is_told(tmp_path: Path, there: bool) -> None:  # noqa: FBT001
    folder = tmp_path / "empty"
    if there:
        folder.mkdir()
    with pytest.raises(UserError, match="holds no results" if there else "there is no such folder"):
        read_entries([folder])


def test_json_has_every_row_with_its_checks(add: Callable[..., Path]) -> None:
    add("a", "none")
    (plain,) = json.loads(as_json([board_of(add("a", "ike", records=1))]))
    assert plain["checks"] == list(CHECKS)
    assert [row["editor"] for row in plain["ranked"]] == ["none"]
    assert list(plain["unranked"][0]["failed"]) == ["complete"]
    assert plain["unranked"][0]["metrics"]["i_rel"]["gain"] == 25.0


def test_what_a_folder_says_is_text_and_nothing_else(add: Callable[..., Path]) -> None:
    bad = "</script><script>alert(1)</script>|`x`"
    add("a", "none", backbone=bad)
    board = board_of(add("a", "ike", backbone=bad, commit={"sha": "<b>x", "dirty": False}))
    page = as_page([board])
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert r"\</script\>" in as_markdown([board])


def test_the_page_is_one_file_that_asks_for_nothing(add: Callable[..., Path]) -> None:
    add("a", "none")
    page = as_page([board_of(add("a", "ike"))])
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:,)|url\(|@import|https?:""", page)
    assert "default-src 'none'" in html.unescape(page)


def test_the_command_writes_the_page_and_shows_the_other_forms(
    add: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add("a", "none")
    folder = add("a", "ike", records=1)
    assert cli.main(["leaderboard", str(folder), "-o", str(tmp_path / "new" / "page.html")]) == 0
    assert capsys.readouterr().out.endswith("page.html: 1 run ranked, 1 not, each with the reason\n")
    assert (tmp_path / "new" / "page.html").read_text().startswith("<!doctype html>")
    assert cli.main(["leaderboard", str(folder), "--format", "markdown"]) == 0
    assert "| floor | smol-llava | none |" in capsys.readouterr().out
