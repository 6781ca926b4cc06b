"""Progress over several stages: one bar on a terminal, lines elsewhere."""

import io
import logging

import pytest

from mmke.cli import progress
from mmke.cli.stages import stages


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_one_bar_reaches_its_end_over_stages_of_other_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with stages({"collect": 4, "write": 10}) as shown:
        shown.stage("collect", 2)
        shown.step()
        shown.step()
        half = terminal.getvalue().split("\r")[-1]
        shown.stage("write", 3, done=1)
        shown.step()
        shown.step()
    bars = [line for line in terminal.getvalue().split("\r") if "%" in line]
    assert half.startswith("collect 2/2  17%")  # of 2 + the 10 that are expected
    assert any(line.startswith("write 1/3  60%") for line in bars)
    assert bars[-1].startswith("write 3/3 100%")


def test_in_a_file_a_long_stage_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr(progress, "FIRST", 0.0)
    with caplog.at_level(logging.INFO, logger="mmke"), stages({"write": 2}) as shown:
        shown.stage("write", 2)
        shown.step()
    assert "1 of 2 steps of the stage 'write'" in caplog.text
