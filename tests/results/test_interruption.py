"""A kill at any byte loses at most the record at work; a resumed run ends with an uninterrupted one's bytes."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmke.errors import UserError
from mmke.results import manifest
from mmke.results.finished import ANSWERS, CASES, ROWS, finished_ends, read_answers, read_cases, read_finished
from mmke.results.folder import FILES, open_run
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.places import run_path
from mmke.results.timings import TIMINGS, Timing
from mmke.types import EditCase, ScoreRow

Case = Callable[[str], EditCase]
Record = Callable[[str], list[ScoreRow]]
Run = Callable[[Path], list[str]]
IDS = ("a", "b")
ROWS_EACH = 2


@pytest.fixture
def case(case: Case) -> Case:
    """A short case."""
    return lambda case_id: replace(case(case_id), edits=(), probes=(), unscored={})


@pytest.fixture
def record(row: Callable[..., ScoreRow]) -> Record:
    """Two short rows of one record."""

    def make(case_id: str) -> list[ScoreRow]:
        short = row(case_id=case_id)
        return [short, replace(short, metric="i_rel", value=None, reason="é", after=None)]

    return make


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what a thousand openings need not repeat; a kill, unlike a power cut, loses no written byte."""
    monkeypatch.setattr(manifest, "project_commit", lambda: None)
    monkeypatch.setattr(manifest, "versions", dict)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def run_all(case: Case, record: Record, timing: Timing, settings: RunSettings, facts: RunFacts) -> Run:
    """Do what a runner does: open, skip what is done, append the rest; returns the ids that were asked."""

    def run(out: Path) -> list[str]:
        asked = []
        with open_run(out, settings, facts) as folder:
            for case_id in IDS:
                if case_id not in {key.case_id for key in folder.done}:
                    asked.append(case_id)
                    folder.append(case(case_id), record(case_id), timing)
        return asked

    return run


@pytest.fixture
def whole(tmp_path: Path, run_all: Run, settings: RunSettings) -> Path:
    """A finished folder."""
    run_all(tmp_path / "whole")
    return run_path(tmp_path / "whole", settings)


def copy_of(whole: Path, out: Path, settings: RunSettings) -> Path:
    folder = run_path(out, settings)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(whole, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def written(whole: Path) -> Iterator[tuple[int, str, bytes]]:
    """Yield record, file and line in the order in which the program wrote them, a record's rows as one."""
    lines = {name: content.splitlines(keepends=True) for name, content in contents(whole).items()}
    for index in range(len(IDS)):
        for name in FILES:
            each = ROWS_EACH if name == ROWS else 1
            yield index, name, b"".join(lines[name][each * index :][:each])


def test_a_kill_at_any_byte_leaves_only_complete_records(tmp_path: Path, whole: Path, settings: RunSettings) -> None:
    folder = copy_of(whole, tmp_path / "killed", settings)
    state, states = dict.fromkeys(FILES, b""), 0
    for name in FILES:
        (folder / name).write_bytes(b"")
    for index, name, line in written(whole):
        complete = dict(zip(FILES, map(len, state.values()), strict=True)) if name == CASES else complete
        for cut in range(len(line)):
            (folder / name).write_bytes(state[name] + line[:cut])
            ends = finished_ends(folder)
            assert (ends.sizes, len(ends.records), len(ends.cases)) == (complete, index, index)
            states += 1
        state[name] += line
        (folder / name).write_bytes(state[name])
    assert finished_ends(folder).sizes == {name: len(content) for name, content in contents(whole).items()}
    assert states == sum(map(len, contents(whole).values()))


def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(
    tmp_path: Path, whole: Path, run_all: Run, settings: RunSettings
) -> None:
    folder = copy_of(whole, tmp_path / "killed", settings)
    state = dict.fromkeys(FILES, b"")
    for index, name, line in written(whole):
        for cut in (0, 1, len(line) // 2, len(line) - 1):
            for file, content in {**state, name: state[name] + line[:cut]}.items():
                (folder / file).write_bytes(content)
            assert run_all(tmp_path / "killed") == list(IDS[index:])
            assert contents(folder) == contents(whole)
        state[name] += line


def test_rows_cut_anywhere_keep_every_complete_record_when_all_other_lines_are_there(whole: Path) -> None:
    rows = (whole / ROWS).read_bytes()
    for cut in range(0, len(rows) + 1, 7):
        (whole / ROWS).write_bytes(rows[:cut])
        complete = rows[:cut].count(b"\n") // ROWS_EACH
        assert [record.case_id for record in read_finished(whole)] == list(IDS[:complete])


def test_reading_a_killed_folder_does_not_change_it(tmp_path: Path, whole: Path, settings: RunSettings) -> None:
    folder = copy_of(whole, tmp_path / "read", settings)
    torn = (whole / ROWS).read_bytes()[:-5]
    (folder / ROWS).write_bytes(torn)
    assert [record.case_id for record in read_finished(folder)] == ["a"]
    assert (folder / ROWS).read_bytes() == torn


def test_finished_records_come_back_with_rows_answers_case_and_timing(
    whole: Path, record: Record, timing: Timing, case: Case
) -> None:
    records = read_finished(whole, answers=True)
    assert [r.case_id for r in records] == list(IDS)
    assert list(records[1].rows) == record("b")
    assert records[1].timing == timing
    assert [kept.case for kept in read_cases(whole).values()] == [case("a"), case("b")]
    assert read_answers(whole)[records[1].key] == ((0, record("b")[0].after),)


def test_two_runs_write_the_same_bytes(tmp_path: Path, whole: Path, run_all: Run, settings: RunSettings) -> None:
    run_all(tmp_path / "again")
    assert contents(run_path(tmp_path / "again", settings)) == contents(whole)


def _garbage_in_the_middle(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"garbage\n", *lines[2:]]


def _a_row_missing(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def _a_record_repeated(lines: list[bytes]) -> list[bytes]:
    return [*lines, *lines[:2]]


def _a_row_too_many(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[-1]]


@pytest.mark.parametrize(
    ("edit", "line", "message"),
    [
        (_garbage_in_the_middle, 3, "not JSON"),
        (_a_row_missing, 1, "record 'a' has 1 of its 2 rows"),
        (_a_record_repeated, 5, "the rows of record 'a' stand in two places"),
        (_a_row_too_many, 3, "record 'b' has 3 of its 2 rows"),
    ],
)
def test_a_file_edited_by_hand_is_refused_by_line(
    whole: Path, edit: Callable[[list[bytes]], list[bytes]], line: int, message: str
) -> None:
    file = whole / ROWS
    file.write_bytes(b"".join(edit(file.read_bytes().splitlines(keepends=True))))
    with pytest.raises(UserError, match=f"{ROWS}, line {line}: {message}"):
        read_finished(whole)


@pytest.mark.parametrize("name", [TIMINGS, ANSWERS, CASES])
def test_garbage_in_another_file_is_refused_by_line(
    tmp_path: Path, whole: Path, settings: RunSettings, facts: RunFacts, name: str
) -> None:
    file = whole / name
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"garbage\n", *lines[1:]]))
    with (
        pytest.raises(UserError, match=f"{name}, line 2: not JSON"),
        open_run(tmp_path / "whole", settings, facts),
    ):
        pass


def test_a_copy_without_its_timings_is_read_and_continued(
    tmp_path: Path, whole: Path, run_all: Run, record: Record, settings: RunSettings
) -> None:
    (whole / TIMINGS).unlink()
    assert [(r.case_id, r.timing) for r in read_finished(whole)] == [("a", None), ("b", None)]
    lines = (whole / ROWS).read_bytes().splitlines(keepends=True)
    (whole / ROWS).write_bytes(b"".join(lines[:ROWS_EACH]))
    assert run_all(tmp_path / "whole") == ["b"]
    assert [r.timing is None for r in read_finished(whole)] == [True, False]


def test_a_copy_without_its_answers_says_so_where_they_are_needed(whole: Path) -> None:
    (whole / ANSWERS).unlink()
    assert len(read_finished(whole)) == 2
    with pytest.raises(UserError, match=rf"{ANSWERS} lacks record 'a'; copy it from where the folder came from"):
        read_finished(whole, answers=True)


def test_a_folder_without_files_has_no_finished_record(tmp_path: Path) -> None:
    assert read_finished(tmp_path) == ()
    assert read_cases(tmp_path) == {}
