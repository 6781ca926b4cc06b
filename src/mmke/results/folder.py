"""One run's folder, open for writing by one program at a time.

In: a finished record with its rows and timing. Out: a line for each row in `rows.jsonl`, and lines in the files beside
it.

The folder (`places.py` says where it lies) has `run.json` and the four files of `finished.py`. One that is opened again
is continued: finished records are not asked or written again, and half a record is removed.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmke.errors import UserError
from mmke.lines import put, sync_folder
from mmke.results.abilities import ABILITIES
from mmke.results.answers import answers_line, distinct
from mmke.results.cases import case_line
from mmke.results.changed import changed_data
from mmke.results.finished import ANSWERS, CASES, ROWS, finished_ends, read_cases, read_finished
from mmke.results.locks import locked
from mmke.results.manifest import RunFacts, RunSettings, check_same_settings, write_run
from mmke.results.places import first_format_path, run_path
from mmke.results.rows import RecordKey, row_line
from mmke.results.run_json import RUN, read_run
from mmke.results.saved_session import SESSION
from mmke.results.shard import Shard, refuse_other, shard_of
from mmke.results.states import STATES
from mmke.results.steps import STEPS
from mmke.results.timings import TIMINGS, TimedRecord, Timing, timing_line
from mmke.types import EditCase, Query, ScoreRow, StoredAnswer

FILES = (CASES, ANSWERS, TIMINGS, ROWS)
"""In the order in which a record is written: its rows, which say that it is finished, come last."""

PromptOf = Callable[[Query], str | None]

logger = logging.getLogger(__name__)


class RunFolder:
    """Where finished records go; made by `open_run`.

    Attributes:
        path: the folder.
        done: the records that are finished and on disk.
    """

    def __init__(
        self, path: Path, done: set[RecordKey], *, cases: set[str], files: Mapping[str, BinaryIO], prompt_of: PromptOf
    ) -> None:
        self.path = path
        self.done = done
        self._cases = cases
        self._files = files
        self._prompt_of = prompt_of

    def append(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Put a finished record on disk; when this returns, it survives a kill and a power cut.

        Args:
            case: what was edited and asked.
            rows: its scores.
            timing: what it cost.

        Raises:
            ValueError: no rows, rows of another record, two rows of one probe and metric, or a record that is done.
            UserError: the folder was deleted or moved while the run was at work.
            OSError: the disk is full or gone; the folder then takes no more records until it is opened again.
        """
        self._check(case.id, rows)
        lines = self._lines(case, rows, timing)
        try:
            for name in FILES:
                if lines[name]:
                    put(self._files[name], lines[name])
            self._check_still_there()
        except BaseException as error:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self.path)
            # Half a record may be on disk; another behind it would turn an interruption into a broken file.
            self.close()
            raise
        self.done.add(RecordKey.of(rows[0]))
        self._cases.add(case.id)

    def close(self) -> None:
        """Close the files; `open_run` does it by itself."""
        for file in self._files.values():
            # After a failed write the rest is still in Python's buffer, and fails again.
            with suppress(OSError):
                file.close()

    def _lines(self, case: EditCase, rows: Sequence[ScoreRow], timing: Timing) -> dict[str, bytes]:
        prompts = [] if case.id in self._cases else [self._prompt_of(probe.query) for probe in case.probes]
        key, indices = RecordKey.of(rows[0]), distinct(rows)

        def index(row: ScoreRow, answer: StoredAnswer | None) -> int | None:
            return None if answer is None or row.probe is None else indices[row.probe, answer]

        return {
            CASES: b"" if case.id in self._cases else case_line(case, prompts),
            ANSWERS: answers_line(key, indices),
            TIMINGS: timing_line(TimedRecord(key, timing)),
            ROWS: b"".join(
                row_line(row, rows=len(rows), before=index(row, row.before), after=index(row, row.after))
                for row in rows
            ),
        }

    def _check(self, case_id: str, rows: Sequence[ScoreRow]) -> None:
        if not rows:
            raise ValueError(f"record {case_id!r} has no rows; what cannot be scored is a row with a reason")
        foreign = {row.case_id for row in rows} - {case_id}
        if foreign:
            raise ValueError(f"rows of {sorted(foreign)} among those of record {case_id!r}")
        if len({RecordKey.of(row) for row in rows}) > 1:
            raise ValueError(f"record {case_id!r} has rows with different numbers of edits, schedules or orders")
        if RecordKey.of(rows[0]) in self.done:
            raise ValueError(f"record {case_id!r} is finished in {self.path} and is never written again")
        asked = [(row.probe, row.metric) for row in rows]
        twice = {key for key in asked if asked.count(key) > 1}
        if twice:
            raise ValueError(f"record {case_id!r} has two rows each of (probe, metric) {sorted(map(str, twice))}")

    def _check_still_there(self) -> None:
        """Refuse to go on writing into files that nobody will find."""
        file = self.path / ROWS
        if not file.exists() or not os.path.samestat(file.stat(), os.fstat(self._files[ROWS].fileno())):
            raise UserError(
                f"{self.path} was deleted or moved while the run was writing to it; the record at work is lost. "
                "The same command begins again what is missing"
            )


def check_continues(
    out: Path, settings: RunSettings, cases: Sequence[EditCase] = (), *, shard: Shard | None = None
) -> None:
    """Refuse to continue a run that was made with other settings, of other data, or in another format.

    Args:
        out: the results folder.
        settings: of the run that is to continue.
        cases: its data, to say which record changed.
        shard: which part of a run it is.

    Raises:
        UserError: the message lists every difference, or names the other shard.
    """
    old = first_format_path(out, settings)
    before = read_run(old)
    if before is not None and before["seed"] == settings.seed:
        raise UserError(
            f"{old} holds this run in the results format of an earlier version, which tables read and runs do not "
            "continue; choose another --out, or move that folder away"
        )
    path = run_path(out, settings)
    check_same_settings(path, settings, data_changes=lambda: changed_data(read_cases(path), cases))
    there = read_run(path)
    if there is not None:
        refuse_other(path, shard_of(there), shard)


@contextmanager
def open_run(
    out: Path, settings: RunSettings, facts: RunFacts, *, prompt_of: PromptOf = lambda _: None
) -> Iterator[RunFolder]:
    """Open the folder of a run below `out` for writing: create it, or continue it.

    Args:
        out: the results folder.
        settings: what decides the rows.
        facts: what this start adds to `run.json`.
        prompt_of: returns the prompt that the unedited model reads of a question, for `cases.jsonl`.

    Raises:
        UserError: another program writes it, it was made with other settings, its files were edited,
            or it cannot be made.
    """
    path = run_path(out, settings)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path} ({error.strerror}); choose another --out") from error
    with locked(path), ExitStack() as stack:
        if read_run(path) is None and (path / ROWS).exists():
            raise UserError(f"{path} has {ROWS} but no {RUN}; delete the folder, or choose another --out")
        check_continues(out, settings, shard=facts.shard)
        ends = finished_ends(path)
        # Rows, written last, are cut first: should this be interrupted too, the other files only hold too much.
        for name in reversed(FILES):
            _cut(path / name, ends.sizes[name])
        write_run(path, settings, facts, done=len(ends.records))
        files = {name: stack.enter_context((path / name).open("ab")) for name in FILES}
        sync_folder(path)
        yield RunFolder(path, set(ends.records), cases=set(ends.cases), files=files, prompt_of=prompt_of)


def finished_keys(path: Path) -> set[RecordKey]:
    """Return the finished records of a run's folder; none where there is no run.

    Raises:
        UserError: its files were edited.
    """
    return {record.key for record in read_finished(path)} if read_run(path) is not None else set()


def set_aside(path: Path) -> None:
    """Rename a run's files to `….void`, so that no table and no later run takes them for results.

    The session that a stream has saved is deleted, so that no later stream continues from it.
    """
    for file in (path / name for name in (RUN, *FILES, STEPS, STATES, ABILITIES)):
        if file.exists():
            file.replace(file.with_name(f"{file.name}.void"))
    shutil.rmtree(path / SESSION, ignore_errors=True)


def _cut(file: Path, size: int) -> None:
    if not file.exists() or file.stat().st_size == size:
        return
    logger.info("%s: cutting off %d bytes of an unfinished record", file, file.stat().st_size - size)
    with file.open("r+b") as handle:
        handle.truncate(size)
        os.fsync(handle.fileno())
