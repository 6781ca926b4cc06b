"""One run's folder, open for writing by one program at a time.

`DIR/<backbone>/<benchmark>/hop<N>/<protocol>/<editor>/` with `run.json`, `rows.jsonl` and `timings.jsonl`. Opening it
again continues where it stopped: finished records are never asked or written again, half a record is cut off.
"""

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmke.errors import UserError
from mmke.results import rows as row_lines
from mmke.results import timings as timing_lines
from mmke.results.finished import ROWS, TIMINGS, read_finished
from mmke.results.manifest import RUN, RunFacts, RunSettings, check_same_settings, read_run, sync_folder, write_run
from mmke.results.timings import TimedRecord, Timing
from mmke.types import ScoreRow

LOCK = ".lock"
LONGEST = 100
"""Characters of a folder's name; file systems take 255 bytes."""

logger = logging.getLogger(__name__)


class RunFolder:
    """Where finished records go; made by `open_run`.

    Attributes:
        path: the folder.
        done: ids of the records that are finished and on disk.
    """

    def __init__(self, path: Path, done: set[str], *, rows: BinaryIO, timings: BinaryIO) -> None:
        self.path = path
        self.done = done
        self._rows = rows
        self._timings = timings

    def append(self, case_id: str, rows: Sequence[ScoreRow], timing: Timing) -> None:
        """Put a finished record on disk; when this returns, it survives a kill and a power cut.

        Raises:
            ValueError: no rows, rows of another record, two rows of one probe and metric, or a record that is done.
            OSError: the disk is full or gone; the folder then takes no more records until it is opened again.
        """
        self._check(case_id, rows)
        record = TimedRecord(case_id=case_id, rows=len(rows), timing=timing)
        timing_line, lines = timing_lines.to_line(record), b"".join(row_lines.to_line(row) for row in rows)
        try:
            _put(self._timings, timing_line)
            _put(self._rows, lines)
        except BaseException as error:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self.path)
            # Half a record may be on disk; another behind it would turn an interruption into a broken file.
            self.close()
            raise
        self.done.add(case_id)

    def close(self) -> None:
        """Close the files; `open_run` does it by itself."""
        for file in (self._rows, self._timings):
            # After a failed write the rest is still in Python's buffer, and fails again.
            with suppress(OSError):
                file.close()

    def _check(self, case_id: str, rows: Sequence[ScoreRow]) -> None:
        if case_id in self.done:
            raise ValueError(f"record {case_id!r} is finished in {self.path} and is never written again")
        if not rows:
            raise ValueError(f"record {case_id!r} has no rows; what cannot be scored is a row with a reason")
        foreign = {row.case_id for row in rows} - {case_id}
        if foreign:
            raise ValueError(f"rows of {sorted(foreign)} among those of record {case_id!r}")
        asked = [(row.probe, row.metric) for row in rows]
        twice = {key for key in asked if asked.count(key) > 1}
        if twice:
            raise ValueError(f"record {case_id!r} has two rows each of (probe, metric) {sorted(map(str, twice))}")


def run_path(out: Path, settings: RunSettings) -> Path:
    """Return the folder of a run below `out`; what cannot stand in a folder's name becomes `_`.

    A name that is a path, such as `hf:org/model`, or that is long carries a digest: `hf:org_model` is another model.
    """
    parts = (
        settings.backbone,
        settings.benchmark,
        f"hop{settings.hop}",
        settings.switches.protocol,
        settings.editor,
    )
    return out.joinpath(*map(_folder_name, parts))


def _folder_name(part: str) -> str:
    plain = re.sub(r"[^\w.+-]|^\.+", "_", part)
    if not set("/:") & set(part) and len(plain) <= LONGEST:
        return plain
    return f"{plain[-LONGEST:]}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"


@contextmanager
def open_run(out: Path, settings: RunSettings, facts: RunFacts) -> Iterator[RunFolder]:
    """Open the folder of a run below `out` for writing: create it, or continue it.

    Raises:
        UserError: another program writes it, it was made with other settings, its files were edited,
            or it cannot be made.
    """
    path = run_path(out, settings)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path} ({error.strerror}); choose another --out") from error
    with locked(path):
        if read_run(path) is None and (path / ROWS).exists():
            raise UserError(f"{path} has {ROWS} but no {RUN}; delete the folder, or choose another --out")
        check_same_settings(path, settings)
        done = _cut_to_finished(path)
        write_run(path, settings, facts)
        with (path / ROWS).open("ab") as rows, (path / TIMINGS).open("ab") as timings:
            sync_folder(path)
            yield RunFolder(path, done, rows=rows, timings=timings)


def finished_ids(path: Path) -> set[str]:
    """Return the ids of the finished records of a run's folder; none where there is no run.

    Raises:
        UserError: its files were edited.
    """
    return {record.case_id for record in read_finished(path).records} if read_run(path) is not None else set()


def set_aside(path: Path) -> None:
    """Rename a run's files to `….void`, so that no table and no later run takes them for results."""
    for file in (path / RUN, path / ROWS, path / TIMINGS):
        if file.exists():
            file.replace(file.with_name(f"{file.name}.void"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a folder from being written by another program.

    Raises:
        UserError: another program writes it.
    """
    # The file stays: deleting it would let two programs hold locks on two files of one name.
    with (path / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{path} is being written by another program; wait for it, or choose another --out"
            ) from error
        yield


def _cut_to_finished(path: Path) -> set[str]:
    finished = read_finished(path)
    # Rows first: should this be interrupted too, timings without rows are passed over at the next opening.
    _cut(path / ROWS, finished.rows_end)
    _cut(path / TIMINGS, finished.timings_end)
    return {record.case_id for record in finished.records}


def _cut(file: Path, size: int) -> None:
    if not file.exists() or file.stat().st_size == size:
        return
    logger.info("%s: cutting off %d bytes of an unfinished record", file, file.stat().st_size - size)
    with file.open("r+b") as handle:
        handle.truncate(size)
        os.fsync(handle.fileno())


def _put(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
