"""`mmke table --stream`, `--difference` and `mmke plot` at the command line."""

import json
import os
from pathlib import Path

import pytest
from stream_kit import FLAT, ORACLE, write_stream

import mmke
from mmke.cli import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_stream(tmp_path, FLAT, editor="none")
    for editor in ("ft-llm", "ike"):
        write_stream(tmp_path, ORACLE, editor=editor)
    return tmp_path


@pytest.mark.parametrize("form", ["text", "csv", "latex", "markdown"])
def test_every_form_names_editors_and_figures(form: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(results), "--stream", "--format", form]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("none", "ft-llm", "ike", "final", "73.3"))


def test_json_is_what_python_gives(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(results), "--stream", "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = mmke.read_streams(str(results))
    assert [each["editor"] for each in printed] == [stream.editor for stream in found] == ["none", "ft-llm", "ike"]
    final = found[1].columns["i_rel"].figures["final"].value
    assert printed[1]["columns"]["i_rel"]["final"]["value"] == pytest.approx(final, abs=1e-6)


def test_a_difference_is_shown_without_further_options(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(results), "--difference", "ft-llm", "ike"]) == 0
    assert "ft-llm − ike" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["table", "--difference", "ft-llm", "ikee"],
            "in one order; did you mean 'ike'?",
        ),
        (["table", "--stream", "--published"], "--published has no figures of streams; leave it out"),
        (["table"], "there are only streams below"),
        (["plot", "--out", "curves.gif"], "--out curves.gif: give a name that ends in .svg or .png"),
        (["plot", "--out", "x.svg", "--column", "i_rle"], "no column 'i_rle'; did you mean 'i_rel'?"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], told: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([words[0], str(results), *words[1:]]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1


def test_a_plot_is_written_where_it_is_asked(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = results / "curves.svg"
    assert main(["plot", str(results), "--out", os.fspath(file), "--column", "i_rel"]) == 0
    assert capsys.readouterr().out.strip() == str(file)
    assert "<svg" in file.read_text()[:200]
