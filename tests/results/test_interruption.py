"""A kill at any byte loses at most the record at work; a resumed run ends with an uninterrupted one's bytes."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.results import manifest
from mmke.results.finished import ROWS, TIMINGS, read_finished
from mmke.results.folder import open_run, run_path
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.timings import Timing
from mmke.types import ScoreRow

Record = Callable[[str], list[ScoreRow]]
IDS = ("a", "b")
ROWS_EACH = 2


@pytest.fixture
def record(row: Callable[..., ScoreRow]) -> Record:
    """Two short rows of one record."""

    def make(case_id: str) -> list[ScoreRow]:
        short = row(case_id=case_id, question="é", target="", tags={}, after=None)
        return [short, replace(short, metric="i_rel", value=None, reason="none")]

    return make


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what a thousand openings need not repeat; a kill, unlike a power cut, loses no written byte."""
    monkeypatch.setattr(manifest, "project_commit", lambda: None)
    monkeypatch.setattr(manifest, "versions", dict)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def run_all(record: Record, timing: Timing, settings: RunSettings, facts: RunFacts) -> Callable[[Path], list[str]]:
    """Do what a runner does: open, skip what is done, append the rest; returns the ids that were asked."""

    def run(out: Path) -> list[str]:
        asked = []
        with open_run(out, settings, facts) as folder:
            for case_id in IDS:
                if case_id not in folder.done:
                    asked.append(case_id)
                    folder.append(case_id, record(case_id), timing)
        return asked

    return run


@pytest.fixture
def whole(tmp_path: Path, run_all: Callable[[Path], list[str]], settings: RunSettings) -> Path:
    """A finished folder."""
    run_all(tmp_path / "whole")
    return run_path(tmp_path / "whole", settings)


def copy_of(whole: Path, out: Path, settings: RunSettings) -> Path:
    folder = run_path(out, settings)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(whole, folder)
    return folder


def killed_states(whole: Path) -> list[tuple[bytes, bytes]]:
    """Return the contents of (timings, rows) at every byte that the program ever wrote."""
    timings, rows = ((whole / name).read_bytes() for name in (TIMINGS, ROWS))
    states, rows_end = [], 0
    timings_end = 0
    for index in range(len(IDS)):
        timing_line = timings.splitlines(keepends=True)[index]
        lines = b"".join(rows.splitlines(keepends=True)[ROWS_EACH * index :][:ROWS_EACH])
        states += [(timings[: timings_end + cut], rows[:rows_end]) for cut in range(len(timing_line))]
        timings_end += len(timing_line)
        states += [(timings[:timings_end], rows[: rows_end + cut]) for cut in range(len(lines))]
        rows_end += len(lines)
    return [*states, (timings, rows)]


def test_a_kill_at_any_byte_is_mended_without_loss_or_repetition(
    tmp_path: Path, whole: Path, run_all: Callable[[Path], list[str]], settings: RunSettings
) -> None:
    states = killed_states(whole)
    assert len(states) == sum(len((whole / name).read_bytes()) for name in (ROWS, TIMINGS)) + 1
    folder = copy_of(whole, tmp_path / "killed", settings)
    for timings, rows in states:
        (folder / TIMINGS).write_bytes(timings)
        (folder / ROWS).write_bytes(rows)
        shutil.copy(whole / manifest.RUN, folder)
        complete = rows.count(b"\n") // ROWS_EACH
        assert run_all(tmp_path / "killed") == list(IDS[complete:])
        assert (folder / ROWS).read_bytes() == (whole / ROWS).read_bytes()
        assert (folder / TIMINGS).read_bytes() == (whole / TIMINGS).read_bytes()


def test_rows_cut_anywhere_keep_every_complete_record_when_all_timings_are_there(whole: Path) -> None:
    rows, timings = (whole / ROWS).read_bytes(), (whole / TIMINGS).read_bytes().splitlines(keepends=True)
    for cut in range(len(rows) + 1):
        (whole / ROWS).write_bytes(rows[:cut])
        complete = rows[:cut].count(b"\n") // ROWS_EACH
        finished = read_finished(whole)
        assert [record.case_id for record in finished.records] == list(IDS[:complete])
        assert rows[: finished.rows_end].count(b"\n") == ROWS_EACH * complete
        assert finished.timings_end == len(b"".join(timings[:complete]))


def test_reading_a_killed_folder_does_not_change_it(tmp_path: Path, whole: Path, settings: RunSettings) -> None:
    folder = copy_of(whole, tmp_path / "read", settings)
    torn = (whole / ROWS).read_bytes()[:-5]
    (folder / ROWS).write_bytes(torn)
    assert [record.case_id for record in read_finished(folder).records] == ["a"]
    assert (folder / ROWS).read_bytes() == torn


def test_finished_records_come_back_with_rows_and_timing(whole: Path, record: Record, timing: Timing) -> None:
    records = read_finished(whole).records
    assert [r.case_id for r in records] == list(IDS)
    assert list(records[1].rows) == record("b")
    assert records[1].timing == timing


def _garbage_in_the_middle(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"garbage\n", *lines[2:]]


def _a_row_missing(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def _a_record_repeated(lines: list[bytes]) -> list[bytes]:
    return [*lines, *lines[:2]]


def _records_swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[2:], *lines[:2]]


@pytest.mark.parametrize(
    ("edit", "line", "message"),
    [
        (_garbage_in_the_middle, 3, "not JSON"),
        (_a_row_missing, 1, "record 'a' has 1 of its 2 rows"),
        (_a_record_repeated, 5, "the rows of record 'a' stand in two places"),
        (_records_swapped, 1, "record 'b' is not at its place"),
    ],
)
def test_a_file_edited_by_hand_is_refused_by_line(
    whole: Path, edit: Callable[[list[bytes]], list[bytes]], line: int, message: str
) -> None:
    file = whole / ROWS
    file.write_bytes(b"".join(edit(file.read_bytes().splitlines(keepends=True))))
    with pytest.raises(UserError, match=f"{ROWS}, line {line}: {message}"):
        read_finished(whole)


def test_garbage_in_the_timings_is_refused_by_line(whole: Path) -> None:
    file = whole / TIMINGS
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"{}\n", *lines[1:]]))
    with pytest.raises(UserError, match=f"{TIMINGS}, line 2: missing keys"):
        read_finished(whole)


def test_rows_without_their_timings_are_refused(whole: Path) -> None:
    (whole / TIMINGS).unlink()
    with pytest.raises(UserError, match="record 'a' is not at its place in"):
        read_finished(whole)


def test_a_folder_without_files_has_no_finished_record(tmp_path: Path) -> None:
    assert read_finished(tmp_path) == ((), 0, 0)
