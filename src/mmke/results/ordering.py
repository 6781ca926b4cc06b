"""Records in evaluation order, also where one was left out at first and computed later."""

from collections.abc import Sequence
from pathlib import Path

from mmke.lines import write_at_once
from mmke.results.finished import ANSWERS, CASES, ROWS, read_raw
from mmke.results.folder import finished_keys
from mmke.results.locks import locked
from mmke.results.rows import RecordKey
from mmke.results.timings import TIMINGS


def has_gaps(folder: Path, order: Sequence[RecordKey]) -> bool:
    """Tell whether a run's folder lacks a record and holds one behind it.

    Raises:
        UserError: its files were edited.
    """
    finished = finished_keys(folder)
    there = [key in finished for key in order]
    return any(there[there.index(False) :]) if False in there else False


def put_in_order(folder: Path, order: Sequence[RecordKey]) -> None:
    """Rewrite the files of a run with their records in an order; nothing is done where it has others, or has them so.

    Each file is replaced at once. Readers find a record by its key, so that a kill between two files does no harm.

    Args:
        folder: a run's, which no program writes.
        order: of all its records.

    Raises:
        UserError: its files were edited, or another program writes them.
    """
    with locked(folder):
        raw = read_raw(folder)
        if list(raw) == list(order) or set(raw) != set(order):
            return
        records = [raw[key] for key in order]
        cases = dict(zip((key.case_id for key in order), (record.case for record in records), strict=True))
        contents = {
            CASES: list(cases.values()),
            ANSWERS: [record.answers for record in records],
            TIMINGS: [record.timing for record in records],
            ROWS: [record.rows for record in records],
        }
        for name, lines in contents.items():
            write_at_once(folder / name, b"".join(lines))
