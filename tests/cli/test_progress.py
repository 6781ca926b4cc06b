"""How far a command has come is seen in a file too, in few lines."""

import io
import logging

import pytest

from mmke.cli import progress as shown


class Clock:
    """A clock that tests turn by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shown, "time", clock)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    return clock


def test_a_file_gets_lines_with_the_rate_and_the_time_left(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mmke"), shown.progress(10) as bar:
        for _ in range(3):
            clock.now += 20.0
            bar.step()
    assert caplog.messages == ["2 of 10 records, 3 a minute, 3 min left"]


def test_records_of_an_earlier_command_do_not_count_for_the_rate(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mmke"), shown.progress(200) as bar:
        clock.now += 10.0  # loading
        for _ in range(100):
            bar.step()
        for _ in range(2):
            clock.now += 60.0
            bar.step()
    assert caplog.messages == ["101 of 200 records", "102 of 200 records, 1 a minute, 98 min left"]


def test_the_start_of_workers_does_not_count_for_the_rate(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mmke"), shown.progress(61) as bar:
        clock.now += 600.0  # a cluster starts, and models are loaded
        bar.step()
        clock.now += 120.0
        bar.step()
    assert caplog.messages == ["1 of 61 records", "2 of 61 records, 0.5 a minute, 118 min left"]


def test_records_of_several_workers_that_come_together_all_count(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mmke"), shown.progress(100) as bar:
        for _ in range(31):
            clock.now += 2.0
            bar.step()
            clock.now += 0.005
            bar.step()
    assert caplog.messages[0].startswith("29 of 100 records, 59.9 a minute")


def test_the_bar_does_not_count_the_start_of_workers_nor_what_an_earlier_command_did(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("tqdm.std.time", clock.time)
    with shown.progress(100) as bar:
        for _ in range(50):  # finished before
            bar.step()
        clock.now += 600.0
        for _ in range(3):
            bar.step()
            clock.now += 10.0
        bar.step()
    assert "54/100 [00:30<07:40" in terminal.getvalue()


def test_ten_hours_cost_fewer_than_a_hundred_lines(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mmke"), shown.progress(3600) as bar:
        for _ in range(3600):
            clock.now += 10.0
            bar.step()
    assert 30 < len(caplog.messages) < 100


def test_a_process_that_does_not_speak_is_silent(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mmke"), shown.progress(10, silent=True) as bar:
        clock.now += 100.0
        bar.step()
    assert caplog.messages == []


def test_a_rate_is_written_without_powers_of_ten() -> None:
    rates = [shown.rounded(rate) for rate in (0.5, 59.94, 99.96, 340.2, 1530.0)]
    assert rates == ["0.5", "59.9", "100", "340", "1,530"]
